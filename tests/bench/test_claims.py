"""How the load benchmarks turn samples into claims."""

import pytest

from bench import large_run, rate_limit
from bench.claims import Claim, report


def sample(at: float, calls: int, mb: float = 100.0) -> large_run.Sample:
    return large_run.Sample(at, calls, {"worker-1": mb})


def test_a_part_takes_as_long_as_its_calls_took_read_between_the_samples() -> None:
    samples = [sample(0, 0), sample(1, 10), sample(3, 40), sample(9, 70)]
    assert large_run.seconds_per_part(samples, parts=2) == [2, 6]
    assert large_run.seconds_per_part(samples, parts=4) == pytest.approx([1, 1, 3, 3])


def test_the_part_that_differs_most_counts() -> None:
    assert large_run.deviation([2.0, 2.0, 2.0]) == 0
    assert large_run.deviation([1.0, 1.0, 2.0, 0.8]) == pytest.approx(0.5)


def test_memory_counts_from_when_everything_is_warm() -> None:
    samples = [sample(0, 0, 90), sample(1, 10, 150), sample(2, 20, 180), sample(3, 30, 160)]
    assert large_run.growth_mb(samples, "worker-1", warm_calls=10) == 30


def test_a_rate_is_taken_from_the_first_call_on() -> None:
    looks = [
        rate_limit.Look(0, 0),
        rate_limit.Look(5, 2),
        rate_limit.Look(6, 22),
        rate_limit.Look(7, 42),
    ]
    assert rate_limit.per_second(looks, seconds=1) == 20
    assert rate_limit.per_second(looks, seconds=2) == 20
    assert rate_limit.busiest(looks) == 20


def test_a_missed_target_is_told_and_ends_the_process_with_1(
    capsys: pytest.CaptureFixture[str],
) -> None:
    holding = Claim("rate", "20", "20 ± 10%", holds=True)
    report("Title", [holding, Claim("seconds", "4")])
    with pytest.raises(SystemExit, match="1"):
        report("Title", [holding, Claim("memory", "900 MB", "≤ 50 MB", holds=False)])
    assert "MISSED" in capsys.readouterr().out
