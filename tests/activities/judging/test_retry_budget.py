"""How waits are measured, and which values one attempt passes to the next."""

from dataclasses import replace
from datetime import timedelta

import pytest

from activities.judging import retry_budget
from activities.judging.retry_budget import RetryBudget
from core import clock
from core.errors import JudgeBusy
from core.usage import Usage

LIMITED = JudgeBusy("429", provider="p", rate_limited=True)
AWAY = JudgeBusy("503", provider="p")


def test_a_day_of_rate_limits_is_a_day_however_many_attempts_it_takes() -> None:
    budget = RetryBudget()
    attempts = 0
    while not budget.exhausted:
        attempts += 1
        budget = replace(budget.after_busy(LIMITED, 20.0), failed_at=None)
    assert attempts * 20 == pytest.approx(24 * 3600, abs=20)


def test_a_clock_that_jumps_ends_no_pair(monkeypatch: pytest.MonkeyPatch) -> None:
    budget = replace(RetryBudget().after_busy(AWAY, 1.0), pause_seconds=5.0)
    later = clock.now() + timedelta(days=300)
    monkeypatch.setattr(clock, "now", lambda: later)
    budget = budget.after_busy(AWAY, 1.0)
    assert budget.outage_seconds <= 2 + 2 * 5.0
    assert not budget.exhausted


def test_a_clock_set_back_counts_no_negative_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    budget = replace(RetryBudget().after_busy(AWAY, 1.0), pause_seconds=5.0)
    earlier = clock.now() - timedelta(days=300)
    monkeypatch.setattr(clock, "now", lambda: earlier)
    assert budget.after_busy(AWAY, 1.0).outage_seconds == 2.0


def test_a_long_queue_is_no_rate_limit() -> None:
    waited_in_queue = replace(
        RetryBudget().after_busy(LIMITED, 0.1),
        failed_at=(clock.now() - timedelta(days=3)).isoformat(),
        pause_seconds=2.0,
    )
    assert not waited_in_queue.after_busy(LIMITED, 0.1).exhausted


def test_the_next_attempt_reads_what_this_one_left() -> None:
    budget = replace(RetryBudget().after_busy(AWAY, 3.0), reported_attempt=4, spent=Usage(calls=2))
    assert RetryBudget.of_details([budget.details]) == budget


def test_the_details_of_the_previous_release_are_understood() -> None:
    since = clock.now().isoformat()
    budget = RetryBudget.of_details([since, {"calls": 3}, "openai"])
    assert (budget.outage_since, budget.spent.calls, budget.provider) == (since, 3, "openai")
    assert RetryBudget.of_details([None, None, None]) == RetryBudget()


def test_attempts_without_a_report_count_until_one_reports() -> None:
    budget = RetryBudget()
    assert [budget.worker_losses(attempt) for attempt in (1, 2, 3, 4)] == [0, 1, 2, 3]
    assert replace(budget, reported_attempt=3).worker_losses(4) == 0
    assert retry_budget.MAX_WORKER_LOSSES == 3


def test_calls_that_come_to_no_score_are_counted_over_all_attempts() -> None:
    unusable = JudgeBusy("503", provider="p").having_spent(Usage(calls=10))
    budget, attempts = RetryBudget(), 0
    while not budget.overspent(traces=1):
        budget, attempts = budget.after_busy(unusable, 1.0), attempts + 1
    assert attempts == 25
    refused = RetryBudget().after_busy(AWAY, 1.0)
    assert refused.fruitless_calls == 0, "a refused call is not answered"


def test_a_session_may_ask_as_often_for_each_trace_that_it_judges_at_once() -> None:
    unusable = JudgeBusy("503", provider="p").having_spent(Usage(calls=250))
    budget = RetryBudget().after_busy(unusable, 1.0)
    assert budget.overspent(traces=1)
    assert not budget.overspent(traces=8)
    with_a_signal = budget.after_answer().after_busy(unusable, 1.0)
    assert with_a_signal.spent.calls == 500
    assert with_a_signal.fruitless_calls == 250


def test_the_details_of_a_newer_release_are_understood_as_far_as_they_are_known() -> None:
    newer = {"spent": {"calls": 2, "kilowatts": 3}, "refusals": 1, "moods": ["bad"]}
    budget = RetryBudget.of_details([newer])
    assert (budget.spent, budget.refusals) == (Usage(calls=2), 1)
    newer_list = RetryBudget.of_details([None, {"calls": 2, "kilowatts": 3}, "openai"])
    assert newer_list.spent == Usage(calls=2)
