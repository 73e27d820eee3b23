"""The sentence about pending activities."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from core.temporal import run_activity
from core.temporal.pending import PendingActivity

NOW = datetime.fromisoformat("2026-01-01T12:00:00+00:00")


def pair(started: bool, ago: float, failure: str | None = None, **details: Any) -> PendingActivity:
    return PendingActivity(
        activity=details.pop("activity", "judge_pair"),
        started=started,
        since=NOW - timedelta(seconds=ago),
        failure=failure,
        **details,
    )


DOWN = {"provider": "p", "outage_since": NOW, "message": "Silence."}


@pytest.mark.parametrize(
    ("pending", "says"),
    [
        # More pairs are being judged than wait.
        ([pair(True, 1), pair(False, -5, "JudgeRateLimited")], None),
        # A long session ended its time slice.
        ([pair(False, -5, "TurnOver")], None),
        (
            [pair(True, 20, "JudgeUnreachable", **DOWN)],
            "1 pair waits for p, which is down since 12:00:00 UTC; being asked again now "
            "(Silence.)",
        ),
        # The attempt after an outage may succeed.
        ([pair(True, 1, "JudgeUnreachable")], None),
        (
            [pair(False, -7, "JudgeRateLimited", message="429."), pair(True, 1)] * 2
            + [pair(False, -5, "JudgeRateLimited", message="429.")],
            "3 pairs wait for the judge until 12:00:05 UTC after rate limiting (429.)",
        ),
        (
            [pair(False, -5, "DatabaseUnavailable", message="Away.")],
            "1 pair waits for the database; tried again at 12:00:05 UTC (Away.)",
        ),
        # An outage with fast failures: four pairs have slots, and the other pairs wait for slots.
        (
            [pair(True, 0.2, "JudgeUnreachable")] * 4
            + [pair(False, 8, "JudgeUnreachable", failed_at=NOW, message="503.")] * 8,
            "8 pairs wait for the judge; being asked again now (503.)",
        ),
        # The same pairs, but without a failure for a while.
        (
            [pair(True, 0.2, "JudgeUnreachable")] * 4
            + [pair(False, 8, "JudgeUnreachable", failed_at=NOW - timedelta(seconds=9))] * 8,
            None,
        ),
        (
            [pair(True, 9, "JudgeRateLimited", message="429.")],
            "1 pair waits for the judge, being asked again now, after rate limiting (429.)",
        ),
        (
            [pair(False, -5, "Unexpected", message="A bug.")],
            "1 pair waits for another attempt; tried again at 12:00:05 UTC (A bug.)",
        ),
        (
            [pair(True, 9, activity="judge_bundle")] * 2 + [pair(True, 6)],
            "judging; 2 bundles and 1 pair wait for an answer, the longest since 11:59:51 UTC",
        ),
    ],
)
def test_what_is_pending_becomes_one_sentence(
    pending: list[PendingActivity], says: str | None
) -> None:
    assert run_activity.describe(pending, now=NOW) == says


def test_a_pair_whose_next_attempt_nobody_takes_counts_as_queued() -> None:
    overdue = [pair(False, 60, "JudgeRateLimited"), pair(False, 60)]
    assert run_activity.describe(overdue, now=NOW) is None
    assert run_activity.only_queued(overdue, now=NOW) == overdue
    assert run_activity.only_queued([*overdue, pair(True, 1)], now=NOW) == []
