"""Agreement of scores with the truth, with intervals, and the comparison of two versions."""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from scipy.stats import mannwhitneyu
from statsmodels.stats.contingency_tables import mcnemar

RESAMPLES = 2_000
BINS = 5


class Case(NamedTuple):
    """`passed`: the score is at or above the metric's threshold."""

    score: float
    passed: bool
    truth: bool

    @property
    def agrees(self) -> bool:
        return self.passed == self.truth


Figure = Callable[[Sequence[Case]], float]


def accuracy(cases: Sequence[Case]) -> float:
    return sum(case.agrees for case in cases) / len(cases)


def kappa(cases: Sequence[Case]) -> float:
    """Cohen's kappa: agreement beyond the agreement expected from the two rates."""
    return cohens_kappa([(case.passed, case.truth) for case in cases])


def cohens_kappa(pairs: Sequence[tuple[object, object]]) -> float:
    """1 if both always agree, even if both always give the same verdict."""
    count = len(pairs)
    observed = sum(one == other for one, other in pairs) / count
    values = {value for pair in pairs for value in pair}
    expected = sum(
        sum(one == value for one, _ in pairs) * sum(other == value for _, other in pairs)
        for value in values
    ) / (count * count)
    return (observed - expected) / (1 - expected) if expected < 1 else 1.0


def auc(cases: Sequence[Case]) -> float:
    """The share of pairs in which the accomplished task has the higher score; ties count half."""
    good = [case.score for case in cases if case.truth]
    bad = [case.score for case in cases if not case.truth]
    if not good or not bad:
        return 0.5
    return float(mannwhitneyu(good, bad).statistic) / (len(good) * len(bad))


def brier(cases: Sequence[Case]) -> float:
    """Mean squared distance of the score from the truth: 0 is best, 0.25 is that of a coin."""
    return sum((case.score - case.truth) ** 2 for case in cases) / len(cases)


def calibration(cases: Sequence[Case]) -> Iterator[tuple[float, float, int]]:
    """Per fifth of the scale: mean score, share of accomplished tasks, number of cases."""
    for number in range(BINS):
        low, high = number / BINS, (number + 1) / BINS
        inside = [c for c in cases if low <= c.score < high or (c.score == 1 and high == 1)]
        if inside:
            mean = sum(case.score for case in inside) / len(inside)
            yield mean, sum(case.truth for case in inside) / len(inside), len(inside)


def interval(figure: Figure, cases: Sequence[Case]) -> tuple[float, float]:
    """The middle 95 % over resamples with replacement, with a fixed seed."""
    chance = random.Random(0)
    found = sorted(figure(chance.choices(cases, k=len(cases))) for _ in range(RESAMPLES))
    return found[int(0.025 * RESAMPLES)], found[int(0.975 * RESAMPLES)]


class Comparison(NamedTuple):
    """Two versions on the same conversations: how often only one of them is right."""

    shared: int
    only_this: int
    only_other: int
    p_value: float


def compared(this: Mapping[str, Case], other: Mapping[str, Case]) -> Comparison:
    """Compares by McNemar's exact test."""
    shared = [(this[key], other[key]) for key in this if key in other]
    only_this = sum(one.agrees and not two.agrees for one, two in shared)
    only_other = sum(two.agrees and not one.agrees for one, two in shared)
    both = sum(one.agrees and two.agrees for one, two in shared)
    neither = len(shared) - both - only_this - only_other
    test = mcnemar([[both, only_this], [only_other, neither]], exact=True)
    return Comparison(len(shared), only_this, only_other, float(test.pvalue))
