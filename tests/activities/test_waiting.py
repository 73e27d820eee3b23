"""What is pending in Temporal, put into one sentence."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from activities import waiting
from activities.waiting import Pending

NOW = datetime.fromisoformat("2026-01-01T12:00:00+00:00")


def pair(started: bool, ago: float, failure: str | None = None, **details: Any) -> Pending:
    return Pending(
        activity="judge_pair",
        started=started,
        since=NOW - timedelta(seconds=ago),
        failure=failure,
        **details,
    )


@pytest.mark.parametrize(
    ("pending", "says"),
    [
        # More is being judged than waits.
        ([pair(True, 1), pair(False, -5, "JudgeRateLimited")], None),
        # A long session makes room for others.
        ([pair(False, -5, "TurnOver")], None),
        (
            [pair(True, 20, "JudgeUnreachable", provider="p", outage_since=NOW, words="Silence.")],
            "1 pair waits for p, which is down since 12:00:00 UTC; being asked again now "
            "(Silence.)",
        ),
        # The attempt after an outage may well succeed.
        ([pair(True, 1, "JudgeUnreachable")], None),
        (
            [pair(False, -7, "JudgeRateLimited", words="429."), pair(True, 1)] * 2
            + [pair(False, -5, "JudgeRateLimited", words="429.")],
            "3 pairs wait for the judge until 12:00:05 UTC after rate limiting (429.)",
        ),
        (
            [pair(False, -5, "DatabaseUnavailable", words="Away.")],
            "1 pair waits for the database; tried again at 12:00:05 UTC (Away.)",
        ),
        # Four slots, the rest behind them: an outage that fails fast.
        (
            [pair(True, 0.2, "JudgeUnreachable")] * 4
            + [pair(False, 8, "JudgeUnreachable", failed_at=NOW, words="503.")] * 8,
            "8 pairs wait for the judge; being asked again now (503.)",
        ),
        # The same, but nothing has failed for a while.
        (
            [pair(True, 0.2, "JudgeUnreachable")] * 4
            + [pair(False, 8, "JudgeUnreachable", failed_at=NOW - timedelta(seconds=9))] * 8,
            None,
        ),
        (
            [pair(True, 9, "JudgeRateLimited", words="429.")],
            "1 pair waits for the judge, being asked again now, after rate limiting (429.)",
        ),
        (
            [pair(False, -5, "Unexpected", words="A bug.")],
            "1 pair waits for another attempt; tried again at 12:00:05 UTC (A bug.)",
        ),
    ],
)
def test_what_is_pending_becomes_one_sentence(pending: list[Pending], says: str | None) -> None:
    assert waiting.sentence(pending, now=NOW) == says


def test_a_pair_whose_next_attempt_nobody_takes_counts_as_queued() -> None:
    overdue = [pair(False, 60, "JudgeRateLimited"), pair(False, 60)]
    assert waiting.sentence(overdue, now=NOW) is None
    assert waiting.only_queued(overdue, now=NOW) == 2
    assert waiting.only_queued([*overdue, pair(True, 1)], now=NOW) == 0
