import pytest

from core.telemetry.serving_state import ServingState


class Clock:
    seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def state(clock: Clock) -> ServingState:
    return ServingState(clock)


def test_a_worker_serves_once_the_database_and_temporal_know_it(state: ServingState) -> None:
    assert state.fault() == "The worker starts or stops."
    state.recorded()
    assert state.fault() == "Temporal has not seen this worker poll yet."
    state.seen_polling()
    assert state.fault() is None
    state.stopped()
    assert state.fault() == "The worker starts or stops."


def test_a_database_that_takes_no_reports_is_a_fault_after_90_seconds(
    state: ServingState, clock: Clock
) -> None:
    state.recorded()
    state.seen_polling()
    clock.seconds += 90
    assert state.fault() is None
    clock.seconds += 1
    assert state.fault() == "The database has not taken a report of this worker for 91 seconds."
    state.recorded()
    assert state.fault() is None


def test_a_temporal_that_does_not_see_it_is_a_fault_after_three_minutes(
    state: ServingState, clock: Clock
) -> None:
    state.seen_polling()
    clock.seconds += 180
    state.recorded()
    assert state.fault() is None
    clock.seconds += 1
    assert state.fault() == "Temporal has not seen this worker poll for 181 seconds."
