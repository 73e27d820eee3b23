"""A pytest plugin: the fixture `assay` compares runs and checks floors inside a test suite.

def test_the_new_prompt_is_not_worse(assay):
    assay.gate(baseline="…", candidate="…")
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from api.cli.client import Client
    from api.cli.gating import Check, FailOn, OnCannotTell


@dataclass(frozen=True)
class Assay:
    """Reads ASSAY_URL and ASSAY_API_KEY, else the credentials of `assay up`."""

    url: str | None
    api_key: str | None

    def gate(
        self,
        *,
        baseline: str,
        candidate: str,
        metrics: Sequence[str] = (),
        pair_by: str | None = None,
        margin: float = 0.02,
        fail_on: "FailOn" = "worse",
        cannot_tell: "OnCannotTell" = "report",
    ) -> None:
        """Fails the test if a metric is worse; skips the test if the scores cannot tell."""
        # Imported here: pytest loads this module in every project, and the client is slow to load.
        from api.cli import comparing, gating

        body = comparing.body_of(baseline, candidate, pair_by, metrics, margin)
        found = self._ask(lambda client: comparing.compared(client, body))
        self._decide(
            gating.relative_checks(found, metrics, fail_on=fail_on, cannot_tell=cannot_tell)
        )

    def check(
        self, *, run: str, floors: Mapping[str, float], cannot_tell: "OnCannotTell" = "report"
    ) -> None:
        """Fails the test if the mean of a metric is below its floor."""
        from api.cli import comparing, gating

        scores = self._ask(lambda client: comparing.scores_of_ended(client, run))
        self._decide(gating.absolute_checks(scores, floors, cannot_tell=cannot_tell))

    def _decide(self, checks: "list[Check]") -> None:
        from api.cli import gating

        verdict = gating.verdict_of(checks)
        reasons = "\n".join(check.reason for check in checks if check.outcome is verdict)
        if verdict is gating.GateExit.WORSE:
            pytest.fail(reasons, pytrace=False)
        if verdict is gating.GateExit.CANNOT_TELL:
            pytest.skip(reasons)

    def _ask(self, request: "Callable[[Client], Awaitable[Any]]") -> Any:
        from api.cli.command import Address
        from core.errors import AssayError

        async def ask() -> Any:
            async with Address(self.url, self.api_key).client() as client:
                return await request(client)

        try:
            return asyncio.run(ask())
        except AssayError as error:
            pytest.fail(f"Assay: {error.message}", pytrace=False)


@pytest.fixture(scope="session")
def assay(pytestconfig: pytest.Config) -> Assay:
    """Compares and checks runs of an Assay server."""
    return Assay(pytestconfig.getoption("assay_url"), pytestconfig.getoption("assay_api_key"))


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("assay")
    group.addoption("--assay-url", default=_variable("ASSAY_URL"), help="Address of the server.")
    group.addoption("--assay-api-key", default=_variable("ASSAY_API_KEY"), help="API key.")


def _variable(name: str) -> str | None:
    import os

    return os.environ.get(name)  # noqa: TID251 - a plugin has no composition root
