"""When refusals of single pairs stop the whole run."""

import time
from uuid import uuid4

import pytest

from activities.judging import refusals
from activities.judging.refusals import Refusals


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def test_one_target_that_is_refused_for_ever_never_stops_its_run(clock: list[float]) -> None:
    seen = Refusals()
    run = uuid4()
    for second in range(100):
        clock[0] = float(second)
        assert not seen.refused(run, "one")


def test_several_targets_refused_for_seconds_stop_the_run(clock: list[float]) -> None:
    seen = Refusals()
    run = uuid4()
    for second, target in enumerate(["a", "b", "c", "a", "b"]):
        clock[0] = float(second)
        assert not seen.refused(run, target)
    clock[0] = refusals.MIN_SECONDS
    assert seen.refused(run, "c")


def test_a_gateway_that_refuses_everything_for_a_second_stops_nothing(clock: list[float]) -> None:
    seen = Refusals()
    run = uuid4()
    for number in range(200):
        clock[0] = number / 200
        assert not seen.refused(run, str(number))


def test_an_answer_begins_the_count_anew(clock: list[float]) -> None:
    seen = Refusals()
    run, other = uuid4(), uuid4()
    for second in range(20):
        clock[0] = float(second)
        assert not seen.refused(run, str(second))
        seen.answered(run)
        seen.answered(other)


def test_words_that_concern_every_call_stop_the_run_at_the_third_target(
    clock: list[float],
) -> None:
    seen = Refusals()
    run = uuid4()
    for target in ("one", "one", "one", "two", "two"):
        assert not seen.refused(run, target, unmistakable=True)
    assert seen.refused(run, "three", unmistakable=True)
    assert not seen.has_answered(run)
    seen.answered(run)
    assert seen.has_answered(run)
    assert not seen.refused(run, "four", unmistakable=True)
