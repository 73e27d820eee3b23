"""The number of inspections of a run, which keeps its history small."""

import pytest

from workflows.stall_watch import LookBackoff

DAY = 86_400.0
SHORT = 5.0


def looks(*, moves_every: float, stands_still: bool, for_seconds: float = DAY) -> list[float]:
    """The times of inspections of a run that progresses at these times, and that is stalled or not
    in between.
    """
    pace = LookBackoff(began_at=0.0, moved_at=0.0)
    taken: list[float] = []
    now = 0.0
    while now < for_seconds:
        due, moves = pace.due_at(now), pace.moved_at + moves_every
        if moves <= due:
            now = moves
            pace.moved(now, stood_still=stands_still and bool(taken) and taken[-1] > pace.moved_at)
        else:
            now = max(now, due)
            taken.append(now)
            pace.looked()
    return taken


def test_a_standstill_is_noticed_within_seconds() -> None:
    assert looks(moves_every=DAY, stands_still=True)[0] <= SHORT


@pytest.mark.parametrize(
    ("moves_every", "stands_still", "most"),
    [
        (2 * DAY, True, 40),
        # Alternating progress and stalls all day, as under a rate limit.
        (5.0, True, 200),
        (60.0, True, 200),
        # With a slow judge, pairs end from time to time, and nothing is stalled.
        (20.0, False, 10),
        (600.0, False, 20),
    ],
)
def test_a_day_takes_few_looks(moves_every: float, stands_still: bool, most: int) -> None:
    assert 1 <= len(looks(moves_every=moves_every, stands_still=stands_still)) <= most
