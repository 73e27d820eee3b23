"""The drills of `make drills`: whole with the mark chaos, their arithmetic without."""

import math

import pytest

from bench.claims import Claim
from bench.drills import upgrade
from bench.drills.__main__ import DRILLS
from bench.drills.load import longest_pause, none, per_second
from bench.drills.sizing import workers_for
from bench.drills.upgrade import Phases


def missed(claims: list[Claim]) -> list[Claim]:
    return [claim for claim in claims if not claim.holds]


@pytest.mark.chaos
@pytest.mark.parametrize("name", DRILLS)
async def test_every_drill_passes_at_its_small_size(name: str) -> None:
    assert missed(await DRILLS[name](True)) == []


def test_a_phase_counts_the_scores_between_its_moment_and_the_next() -> None:
    phases = Phases(names=["before", "after", "end"], times=[10.0, 20.0, 30.0])
    scored = [9.0, *(10.0 + n for n in range(10)), 21.0, 28.0, 31.0]
    before, after = phases.claims(scored, offered=1.0)
    assert (before.figure, before.holds) == ("1, longest pause 1.0 s", True)
    assert (after.figure, after.holds) == ("0, longest pause 7.0 s", False)


def test_a_period_without_two_scores_is_one_long_pause() -> None:
    assert longest_pause([5.0], 0.0, 10.0) == math.inf
    assert per_second([5.0], 0.0, 10.0) == 0.1


def test_a_count_that_must_be_zero_holds_only_at_zero() -> None:
    assert none("lost", 0).holds
    assert not none("lost", 1).holds


@pytest.mark.parametrize(
    ("per_minute", "latency", "cost", "workers"),
    [(600, 5.0, 0.005, (1, 1)), (60_000, 5.0, 0.005, (50, 5)), (60_000, 0.2, 0.005, (2, 5))],
)
def test_workers_follow_from_open_calls_and_from_processor_time(
    per_minute: int, latency: float, cost: float, workers: tuple[int, int]
) -> None:
    assert workers_for(per_minute, latency, cost) == workers


def test_an_upgrade_prepares_runs_for_all_of_its_phases() -> None:
    for size in (upgrade.SMALL, upgrade.DEFAULT):
        assert upgrade.prepared_runs(size) * size.every > 5 * size.phase_seconds
