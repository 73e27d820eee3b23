"""How long a pair keeps retrying, across attempts and workers.

Heartbeat details carry the budget from one attempt to the next.
"""

from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any, Final

from temporalio import activity

from core import clock
from core.errors import JudgeBusy
from core.saved_fields import known_fields
from core.usage import Usage

MAX_OUTAGE_SECONDS: Final = 20 * 60.0
"""An unbroken outage fails the pair after this long."""

MAX_RATE_LIMIT_SECONDS: Final = 24 * 3600.0
"""A rate limit lets some calls pass, so a longer wait can help."""

MAX_REFUSALS: Final = 4
"""A refusal that may concern only one pair fails the pair at this attempt."""

MAX_UNEXPECTED: Final = 3
"""An unexpected error is most likely a bug; more attempts would only delay its report."""

MAX_JUDGE_CALLS: Final = 250
"""Answered calls per trace and metric without a score, over all attempts: 25 questions of ten calls
each.
"""

MAX_WORKER_LOSSES: Final = 3
"""A pair whose worker vanished this many times in a row counts as the cause."""

MAX_WAIT_RATIO: Final = 2.0
"""A wait counts as at most this many times the planned pause: clocks may jump, and time in a queue
is not an outage.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryBudget:
    """The record of the earlier attempts.

    Durations are observed waits, in seconds.

    `fruitless_calls`: answered calls without a score, since the last score of any trace of a
    session. `reported_attempt`: the last attempt that ended with a report. The attempts after it
    lost their worker.
    """

    outage_seconds: float = 0.0
    limited_seconds: float = 0.0
    outage_since: str | None = None
    failed_at: str | None = None
    pause_seconds: float = 0.0
    refusals: int = 0
    unexpected: int = 0
    reported_attempt: int = 0
    provider: str | None = None
    spent: Usage = field(default_factory=Usage)
    fruitless_calls: int = 0

    @classmethod
    def of_details(cls, details: list[Any] | tuple[Any, ...]) -> "RetryBudget":
        """Reads the heartbeat details of an earlier attempt, of this release, the previous release
        or a newer release, whose additions are ignored.
        """
        if details and isinstance(details[0], dict):
            saved = known_fields(cls, details[0])
            return cls(**saved | {"spent": Usage.of_saved(saved.get("spent"))})
        since, spent, provider = [*details, None, None, None][:3]
        return cls(outage_since=since, provider=provider, spent=Usage.of_saved(spent))

    @property
    def details(self) -> dict[str, Any]:
        """Heartbeat details for the next attempt, and for readers of the activity in Temporal."""
        saved = {name: value for name, value in asdict(self).items() if value}
        if self.spent == Usage():
            del saved["spent"]
        return saved

    @property
    def exhausted(self) -> bool:
        return (
            self.outage_seconds > MAX_OUTAGE_SECONDS
            or self.limited_seconds > MAX_RATE_LIMIT_SECONDS
        )

    def overspent(self, *, traces: int) -> bool:
        """Whether the pair has used all its judge calls without getting a score.

        `traces`: the number of traces that the pair judges at once.
        """
        return self.fruitless_calls >= MAX_JUDGE_CALLS * traces

    def after_busy(self, error: JudgeBusy, attempt_seconds: float) -> "RetryBudget":
        now = clock.now().isoformat()
        budget = replace(
            self,
            failed_at=now,
            provider=error.provider,
            spent=self.spent + error.spent,
            fruitless_calls=self.fruitless_calls + error.spent.calls,
        )
        waited = self._waited(attempt_seconds)
        if error.rate_limited:
            return replace(
                budget,
                outage_seconds=0.0,
                outage_since=None,
                limited_seconds=self.limited_seconds + waited,
            )
        return replace(
            budget,
            # The pause before the first failure is not part of the outage.
            outage_seconds=self.outage_seconds + (waited if self.outage_since else attempt_seconds),
            outage_since=self.outage_since or now,
        )

    def after_answer(self) -> "RetryBudget":
        """The budget after an answer of the judge, which ends any outage or series of refusals."""
        return replace(self, outage_seconds=0.0, outage_since=None, refusals=0, fruitless_calls=0)

    def _waited(self, attempt_seconds: float) -> float:
        """Seconds of the wait that ends now: the pause before this attempt, and the attempt
        itself.
        """
        if self.failed_at is None:
            return attempt_seconds
        elapsed = (clock.now() - datetime.fromisoformat(self.failed_at)).total_seconds()
        between = max(0.0, elapsed - attempt_seconds)
        return attempt_seconds + min(between, MAX_WAIT_RATIO * self.pause_seconds)

    def worker_losses(self, attempt: int) -> int:
        """The number of attempts directly before this one that ended without a report."""
        return attempt - 1 - self.reported_attempt


def budget_of_activity(spent_before: Usage | None = None) -> RetryBudget:
    """The budget of the running activity.

    `spent_before`: the usage of another activity for this pair.
    """
    details = list(activity.info().heartbeat_details)
    if not details and spent_before is not None:
        return RetryBudget(spent=spent_before, fruitless_calls=spent_before.calls)
    return RetryBudget.of_details(details)
