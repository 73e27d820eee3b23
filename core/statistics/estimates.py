"""Intervals, p-values and sample sizes for paired, clustered differences."""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower

from core.statistics.clusters import Clusters, Floats

RESAMPLES: Final = 10_000
SEED: Final = 20_260
POWER: Final = 0.8

_BATCH_ELEMENTS: Final = 500_000
"""One batch of resamples holds a few arrays of this many numbers, of 8 bytes each."""


@dataclass(frozen=True, slots=True)
class Interval:
    low: float
    high: float

    def excludes_zero(self) -> bool:
        return self.low > 0 or self.high < 0

    def within(self, margin: float) -> bool:
        return -margin <= self.low and self.high <= margin


def bootstrap_interval(clusters: Clusters, *, alpha: float) -> Interval | None:
    """BCa bootstrap interval of the mean difference, from resampled clusters.

    Efron and Tibshirani, An Introduction to the Bootstrap, chapter 14. None with fewer than two
    clusters. Differences that are all equal give an interval of one point.
    """
    if len(clusters.sums) < 2:
        return None
    grouped = clusters.grouped(SEED)
    means = grouped.sums / grouped.counts
    if np.ptp(means) == 0:
        return Interval(float(means[0]), float(means[0]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # A degenerate BCa falls back to percentiles below.
        found = _resampled(grouped, alpha, "BCa")
        if not (math.isfinite(found.low) and math.isfinite(found.high)):
            found = _resampled(grouped, alpha, "percentile")
    return found


def _resampled(clusters: Clusters, alpha: float, method: str) -> Interval:
    result = stats.bootstrap(
        (clusters.sums, clusters.counts),
        lambda sums, counts, axis: sums.sum(axis=axis) / counts.sum(axis=axis),
        n_resamples=RESAMPLES,
        batch=max(1, _BATCH_ELEMENTS // len(clusters.sums)),
        vectorized=True,
        paired=True,
        confidence_level=1 - alpha,
        method=method,
        rng=np.random.default_rng(SEED),
    )
    return Interval(float(result.confidence_interval.low), float(result.confidence_interval.high))


def sign_flip_p(clusters: Clusters) -> float:
    """Two-sided p-value of a mean difference of 0, by flipping the signs of whole clusters.

    Exact for few clusters, from 10,000 random flips for many (Fisher, The Design of Experiments,
    section 21).
    """
    grouped = clusters.grouped(SEED)
    if len(grouped.sums) < 2 or not grouped.sums.any():
        return 1.0
    result = stats.permutation_test(
        (grouped.sums, np.zeros_like(grouped.sums)),
        lambda a, b, axis: a.sum(axis=axis) - b.sum(axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=RESAMPLES - 1,
        batch=max(1, _BATCH_ELEMENTS // len(grouped.sums)),
        rng=np.random.default_rng(SEED),
    )
    return float(result.pvalue)


def mcnemar_p(*, only_baseline: int, only_candidate: int) -> float:
    """Exact McNemar test: a binomial test on the pairs that only one side passes.

    McNemar, Psychometrika 12 (1947); exact form: Fleiss, Statistical Methods for Rates and
    Proportions, section 13.1.
    """
    discordant = only_baseline + only_candidate
    if discordant == 0:
        return 1.0
    return float(stats.binomtest(only_candidate, discordant, 0.5).pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values corrected for multiple tests (Holm, Scandinavian Journal of Statistics 6, 1979)."""
    if not p_values:
        return []
    return [float(p) for p in multipletests(p_values, method="holm")[1]]


def cohens_d_z(differences: Floats) -> float | None:
    """Mean difference divided by the standard deviation of the differences; None if the latter is
    0.
    """
    if len(differences) < 2:
        return None
    deviation = float(np.std(differences, ddof=1))
    return float(np.mean(differences)) / deviation if deviation > 0 else None


def pairs_needed(clusters: Clusters, *, alpha: float, power: float = POWER) -> int | None:
    """The total number of pairs that would show a difference of the observed size; None if it
    is 0.

    The effect size uses the cluster-robust standard error, so it allows for the clusters.
    """
    pairs = float(clusters.counts.sum())
    error = clusters.standard_error
    if clusters.mean == 0 or not math.isfinite(error):
        return None
    if error == 0:
        return int(pairs)
    effect = abs(clusters.mean) / (error * math.sqrt(pairs))
    if effect > 5:  # The solver does not converge for effects this large; three pairs show them.
        return max(3, int(pairs))
    needed = TTestPower().solve_power(effect_size=effect, alpha=alpha, power=power)
    return math.ceil(float(np.max(needed)))
