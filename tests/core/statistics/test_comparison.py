import numpy as np
import pytest

from core.statistics import estimates, noise
from core.statistics.clusters import clustered
from core.statistics.comparison import CLAIMS, Verdict, compare
from core.statistics.score_pair import ScorePair
from core.statistics.tally import Tally


def pairs_of(baseline: np.ndarray, candidate: np.ndarray, per_cluster: int = 1) -> list[ScorePair]:
    return [
        ScorePair(
            key=str(number),
            cluster=f"c{number // per_cluster}",
            baseline=round(float(a), 4),
            candidate=round(float(b), 4),
            baseline_passed=a >= 0.5,
            candidate_passed=b >= 0.5,
        )
        for number, (a, b) in enumerate(zip(baseline, candidate, strict=True))
    ]


def tally_of(pairs: list[ScorePair]) -> Tally:
    tally = Tally()
    tally.add(pairs)
    return tally


def judged(rng: np.random.Generator, quality: np.ndarray, shift: float = 0.0) -> np.ndarray:
    """Scores of a judge with noise."""
    return np.clip(quality + shift + rng.normal(0, 0.15, size=len(quality)), 0, 1)


def verdict_of(pairs: list[ScorePair], margin: float = 0.02) -> Verdict:
    [comparison] = compare({"task_completion": tally_of(pairs)}, alpha=0.05, margin=margin)
    return comparison.verdict


@pytest.fixture
def few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Simulations make hundreds of comparisons, and 1,000 resamples lead to the same decisions as
    10,000.
    """
    monkeypatch.setattr(estimates, "RESAMPLES", 1_000)


@pytest.mark.slow
@pytest.mark.usefixtures("few_resamples")
@pytest.mark.parametrize("count", [12, 60, 200])
def test_two_judgings_of_the_same_traces_do_not_differ(count: int) -> None:
    """Holds in at least 95 of 100 simulated comparisons, at each size."""
    rng = np.random.default_rng(11)
    told = 0
    for _ in range(100):
        quality = rng.beta(2, 1, size=count)
        told += verdict_of(pairs_of(judged(rng, quality), judged(rng, quality))) in (
            Verdict.BETTER,
            Verdict.WORSE,
        )
    assert told <= 5


@pytest.mark.slow
@pytest.mark.usefixtures("few_resamples")
def test_a_known_difference_is_found_at_the_power_promised() -> None:
    """Holds in about 80 of 100 comparisons with the number of pairs that `pairs_needed` returns."""
    rng = np.random.default_rng(13)
    spread = 0.15 * np.sqrt(2)
    pilot = rng.normal(size=300)
    pilot = (pilot - pilot.mean()) / pilot.std(ddof=1) * spread + 0.1
    needed = estimates.pairs_needed(clustered(pilot, list(range(300))), alpha=0.05 / CLAIMS)
    assert needed is not None
    found = 0
    for _ in range(100):
        quality = rng.uniform(0.3, 0.7, size=needed)
        found += verdict_of(pairs_of(judged(rng, quality), judged(rng, quality, 0.1))) is (
            Verdict.BETTER
        )
    assert found >= 72


def test_a_copy_is_equivalent_however_few_pairs_there_are() -> None:
    scores = np.array([0.1, 0.9, 1.0])
    assert verdict_of(pairs_of(scores, scores)) is Verdict.EQUIVALENT


def test_a_difference_within_the_margin_is_equivalent_even_if_it_is_certain() -> None:
    rng = np.random.default_rng(17)
    scores = rng.uniform(0.2, 0.8, size=500)
    assert verdict_of(pairs_of(scores, scores + 0.01 + rng.normal(0, 0.01, 500))) is (
        Verdict.EQUIVALENT
    )


def test_what_cannot_be_told_says_how_many_more_pairs_it_takes() -> None:
    rng = np.random.default_rng(19)
    quality = rng.uniform(0.3, 0.7, size=12)
    [comparison] = compare(
        {"m": tally_of(pairs_of(judged(rng, quality), judged(rng, quality, 0.05)))},
        alpha=0.05,
        margin=0.02,
    )
    assert comparison.verdict is Verdict.CANNOT_TELL
    assert comparison.further_pairs is not None
    assert comparison.further_pairs > 10


def test_wins_ties_losses_and_passes_are_counted() -> None:
    baseline = np.array([0.2, 0.6, 0.7, 0.4])
    candidate = np.array([0.9, 0.6, 0.3, 0.45])
    [comparison] = compare({"m": tally_of(pairs_of(baseline, candidate))}, alpha=0.05, margin=0.02)
    assert (comparison.wins, comparison.ties, comparison.losses) == (2, 1, 1)
    assert comparison.passed_both == 1
    assert (comparison.passed_only_baseline, comparison.passed_only_candidate) == (1, 1)
    assert comparison.difference == pytest.approx(0.0875)


def test_p_values_are_corrected_over_the_metrics() -> None:
    rng = np.random.default_rng(23)
    quality = rng.uniform(0.3, 0.7, size=40)
    same = tally_of(pairs_of(judged(rng, quality), judged(rng, quality, 0.09)))
    [alone] = compare({"a": same}, alpha=0.05, margin=0.0)
    among = compare({"a": same, "b": same, "c": same}, alpha=0.05, margin=0.0)
    assert among[0].p_value == pytest.approx(min(1.0, 3 * alone.p_value))


def test_metrics_without_pairs_have_no_comparison() -> None:
    assert compare({"m": Tally()}, alpha=0.05, margin=0.02) == []


def test_the_noise_floor_shrinks_with_the_square_root_of_the_pairs() -> None:
    assert noise.floor(0.2, 400) == pytest.approx(0.0196, abs=1e-4)


PEAK_FLOW = (
    *((494, 490), (395, 397), (516, 512), (434, 401), (476, 470), (557, 611), (413, 415)),
    *((442, 431), (650, 638), (433, 429), (417, 420), (656, 633), (267, 275), (478, 492)),
    *((178, 165), (423, 372), (427, 421)),
)
"""Peak flow of 17 people, measured twice (Bland and Altman, The Lancet, 8 February 1986)."""


def test_the_spread_is_that_of_the_published_example_of_repeated_measurements() -> None:
    # They give 15.3 l/min for one measurement; a difference of two spreads √2 times as far.
    spread = noise.spread([first - second for first, second in PEAK_FLOW])
    assert spread / np.sqrt(2) == pytest.approx(15.3, abs=0.05)
    assert noise.spread([]) == 0


def test_a_judging_again_moves_the_mean_by_at_most_the_noise_floor() -> None:
    """Holds in about 95 of 100 judgings, with the spread measured on 50 other items."""
    rng = np.random.default_rng(31)
    within = 0
    for _ in range(200):
        sampled = rng.uniform(0.3, 0.7, size=50)
        spread = noise.spread(list(judged(rng, sampled) - judged(rng, sampled)))
        quality = rng.uniform(0.3, 0.7, size=120)
        moved = float(np.mean(judged(rng, quality) - judged(rng, quality)))
        within += abs(moved) <= noise.floor(spread, 120)
    assert 180 <= within <= 199


@pytest.mark.slow
@pytest.mark.usefixtures("few_resamples")
def test_two_judgings_of_sessions_do_not_differ() -> None:
    """Holds in at least 95 of 100 comparisons, although the judge's errors are correlated within a
    session.
    """
    rng = np.random.default_rng(37)
    told = 0
    for _ in range(100):
        quality = rng.uniform(0.3, 0.7, size=120)
        sides = [
            np.clip(judged(rng, quality) + np.repeat(rng.normal(0, 0.1, size=30), 4), 0, 1)
            for _ in range(2)
        ]
        verdict = verdict_of(pairs_of(sides[0], sides[1], per_cluster=4))
        told += verdict in (Verdict.BETTER, Verdict.WORSE)
    assert told <= 5


def test_pairs_that_come_in_parts_are_compared_like_pairs_that_come_at_once() -> None:
    rng = np.random.default_rng(29)
    quality = rng.uniform(0.3, 0.7, size=90)
    pairs = pairs_of(judged(rng, quality), judged(rng, quality, 0.05), per_cluster=3)
    parts = Tally()
    for start in range(0, 90, 30):
        parts.add(pairs[start : start + 30])
    whole, in_parts = (
        compare({"m": one}, alpha=0.05, margin=0.02) for one in (tally_of(pairs), parts)
    )
    assert in_parts == whole
