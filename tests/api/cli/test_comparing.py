"""Waiting for runs and comparisons that are not ready yet."""

from collections.abc import Iterator, Sequence
from typing import Any
from uuid import uuid4

import httpx
import pytest
import typer
from typer.testing import CliRunner

from api.cli import comparing
from api.cli.client import Client
from api.cli.command import Address
from core.errors import AssayError, Conflict, NotFound, Unavailable

BODY = comparing.body_of("a", "b", None, None, 0.02)


def server(*states: dict[str, Any], runs: Sequence[dict[str, Any]] = ()) -> httpx.MockTransport:
    """Answers a comparison in these states, one after the other.

    `runs`: the states of a run over sessions; without them, every run over traces has ended.
    """
    answers: Iterator[dict[str, Any]] = iter(states)
    of_runs = iter(runs)

    def answer(request: httpx.Request) -> httpx.Response:
        path = request.url.path
        if path.endswith("/scores") and "session-runs" in path:
            return httpx.Response(200, json=[{"name": "agent_reliability", "value": "0.5"}])
        if path.startswith("/evaluations/trace-runs/"):
            if runs:
                return httpx.Response(404, json={"detail": "not here"})
            return httpx.Response(200, json={"status": "COMPLETED"})
        if path.startswith("/evaluations/session-runs/"):
            state = next(of_runs, None)
            return httpx.Response(200 if state else 404, json=state or {"detail": "gone"})
        code = 201 if request.method == "POST" else 200
        return httpx.Response(code, json={"id": "c", "error_message": None} | next(answers))

    return httpx.MockTransport(answer)


async def compared(transport: httpx.MockTransport) -> dict[str, Any]:
    async with Client("http://assay", "key", transport=transport) as client:
        return await comparing.compared(client, BODY)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparing, "_POLL_SECONDS", 0.0)


async def test_a_comparison_in_the_background_is_waited_for() -> None:
    states = [{"status": one} for one in ("PENDING", "RUNNING", "COMPLETED")]
    assert (await compared(server(*states)))["status"] == "COMPLETED"


async def test_a_comparison_that_fails_says_why() -> None:
    states = [{"status": "PENDING"}, {"status": "FAILED", "error_message": "A run is gone."}]
    with pytest.raises(AssayError, match=r"A run is gone\."):
        await compared(server(*states))


ENDED = {"status": "COMPLETED"}
GOING = {"status": "RUNNING"}
PAUSED = GOING | {
    "id": "r",
    "paused": True,
    "activity": "Paused at its budget",
    "max_cost_usd": None,
}


async def test_runs_over_sessions_are_waited_for_and_compared(
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = await compared(server(ENDED, runs=[GOING, ENDED, ENDED]))
    assert found["status"] == "COMPLETED"
    assert "Waiting for the end of run a" in capsys.readouterr().err


async def test_the_scores_of_a_run_over_sessions_are_found() -> None:
    async with Client(
        "http://assay", "key", transport=server(runs=[GOING, ENDED, ENDED])
    ) as client:
        scores = await comparing.scores_of_ended(client, "r")
    assert [one["name"] for one in scores] == ["agent_reliability"]


async def test_a_paused_run_is_not_waited_for() -> None:
    with pytest.raises(Conflict, match=r"Paused at its budget\. Continue .* resume r --max-tokens"):
        await compared(server(ENDED, runs=[GOING, PAUSED]))


def test_noise_stops_when_its_run_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    client = Client("http://assay", "key", transport=server(GOING, runs=[GOING, PAUSED]))
    monkeypatch.setattr(Address, "client", lambda _: client)
    app = typer.Typer()
    comparing.register(app)
    done = CliRunner().invoke(app, ["noise", str(uuid4())], obj=Address(None, None))
    assert done.exit_code == 1
    assert "Paused at its budget" in done.output


async def test_a_run_that_does_not_exist_is_told() -> None:
    with pytest.raises(NotFound, match="gone"):
        await compared(server(ENDED, runs=[{}]))


async def test_a_server_that_is_away_is_told() -> None:
    def away(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    async with Client("http://assay", "key", transport=httpx.MockTransport(away)) as client:
        client.get = _fails  # type: ignore[method-assign]  # patience would take a minute
        with pytest.raises(Unavailable):
            await comparing.compared(client, BODY)


async def _fails(path: str, **query: Any) -> Any:
    raise Unavailable("http://assay", "Is it running?")
