"""Compares the paired scores of two runs, per metric."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

import numpy as np

from core.statistics import estimates
from core.statistics.clusters import Clusters
from core.statistics.estimates import Interval
from core.statistics.tally import Tally

MIN_CLUSTERS: Final = 7
"""With fewer clusters, no sign-flip test can reach a third of 0.05."""

CLAIMS: Final = 3
"""A verdict chooses among three claims: better, worse, equivalent. Better and worse are therefore
tested at a third of `alpha` (Bonferroni), so that two judgings of the same traces come out as
different in fewer than 5 of 100 comparisons."""


class Verdict(StrEnum):
    BETTER = "better"
    WORSE = "worse"
    EQUIVALENT = "equivalent"
    CANNOT_TELL = "cannot tell"


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricDifference:
    """`difference` is candidate minus baseline. `p_value` is corrected over all metrics.

    `further_pairs`: the number of additional pairs that a verdict about a difference of this size
    would need.
    """

    metric: str
    pairs: int
    clusters: int
    baseline_mean: float
    candidate_mean: float
    difference: float
    interval: Interval | None
    wins: int
    ties: int
    losses: int
    passed_both: int
    passed_only_baseline: int
    passed_only_candidate: int
    mcnemar_p: float
    p_value: float
    d_z: float | None
    verdict: Verdict
    further_pairs: int | None


def compare(tallies: Mapping[str, Tally], *, alpha: float, margin: float) -> list[MetricDifference]:
    """One comparison per metric that has pairs, in the order given.

    Equivalence comes before better and worse: a difference that surely lies within the margin
    does not matter, however significant it is. Better and worse need an interval without 0 and a
    corrected p-value below `alpha / CLAIMS`.
    """
    found = [_measured(metric, tally, alpha) for metric, tally in tallies.items() if tally.pairs]
    corrected = estimates.holm([one.p_value for one, _ in found])
    return [
        _decided(replace(one, p_value=p_value), clusters, alpha=alpha, margin=margin)
        for (one, clusters), p_value in zip(found, corrected, strict=True)
    ]


def _measured(metric: str, tally: Tally, alpha: float) -> tuple[MetricDifference, Clusters]:
    differences = np.array(tally.differences)
    clusters = Clusters(np.array(tally.cluster_sums), np.array(tally.cluster_counts))
    comparison = MetricDifference(
        metric=metric,
        pairs=tally.pairs,
        clusters=len(clusters.sums),
        baseline_mean=tally.baseline_sum / tally.pairs,
        candidate_mean=tally.candidate_sum / tally.pairs,
        difference=clusters.mean,
        interval=estimates.bootstrap_interval(clusters, alpha=alpha),
        wins=tally.wins,
        ties=tally.ties,
        losses=tally.losses,
        passed_both=tally.passed_both,
        passed_only_baseline=tally.passed_only_baseline,
        passed_only_candidate=tally.passed_only_candidate,
        mcnemar_p=estimates.mcnemar_p(
            only_baseline=tally.passed_only_baseline, only_candidate=tally.passed_only_candidate
        ),
        p_value=estimates.sign_flip_p(clusters),
        d_z=estimates.cohens_d_z(differences),
        verdict=Verdict.CANNOT_TELL,
        further_pairs=None,
    )
    return comparison, clusters


def _decided(
    comparison: MetricDifference, clusters: Clusters, *, alpha: float, margin: float
) -> MetricDifference:
    interval = comparison.interval
    if not clusters.sums.any():
        # Every item has the same score on both sides, so there is nothing to estimate.
        return replace(comparison, verdict=Verdict.EQUIVALENT)
    if interval is not None and comparison.clusters >= MIN_CLUSTERS:
        if interval.within(margin):
            return replace(comparison, verdict=Verdict.EQUIVALENT)
        if interval.excludes_zero() and comparison.p_value < alpha / CLAIMS:
            better = comparison.difference > 0
            return replace(comparison, verdict=Verdict.BETTER if better else Verdict.WORSE)
    needed = estimates.pairs_needed(clusters, alpha=alpha / CLAIMS)
    further = max(1, needed - comparison.pairs) if needed is not None else None
    return replace(comparison, further_pairs=further)
