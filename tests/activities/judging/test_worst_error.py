"""Which of several errors of a session ends the attempt."""

import itertools

import pytest

from activities.error_translation import TimeSliceExpired
from activities.judging.sessions import raise_the_worst
from core.errors import JudgeBusy, JudgeError, JudgeUnusable
from core.usage import Usage

BUSY = JudgeBusy("limits the rate", provider="openai", rate_limited=True)
BAD_KEY = JudgeUnusable("refuses the key", provider="openai")


@pytest.mark.parametrize(
    "errors", list(itertools.permutations([BUSY, BAD_KEY, TimeSliceExpired()]))
)
def test_a_refused_key_is_not_hidden_behind_a_rate_limit(errors: list[BaseException]) -> None:
    with pytest.raises(JudgeUnusable):
        raise_the_worst(errors)


@pytest.mark.parametrize("errors", list(itertools.permutations([BUSY, TimeSliceExpired()])))
def test_a_rate_limit_is_reported_before_the_end_of_a_time_slice(
    errors: list[BaseException],
) -> None:
    with pytest.raises(JudgeBusy):
        raise_the_worst(errors)


def test_the_error_carries_what_all_of_them_spent() -> None:
    errors = [
        BUSY.having_spent(Usage(calls=2), answered=Usage(calls=10)),
        BAD_KEY.having_spent(Usage(calls=3), answered=Usage(calls=20)),
    ]
    with pytest.raises(JudgeError) as raised:
        raise_the_worst(errors)
    assert (raised.value.spent.calls, raised.value.answered.calls) == (5, 30)


def test_without_errors_nothing_is_raised() -> None:
    raise_the_worst([])
