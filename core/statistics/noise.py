"""How much scores differ when the same judge judges the same items again.

Importing this module loads no library.
"""

import math
from collections.abc import Sequence
from statistics import NormalDist


def spread(differences: Sequence[float]) -> float:
    """Standard deviation of the difference between two judgings of one item.

    Taken around 0: the two judgings are exchangeable, so their true mean difference is 0. It is √2
    times the within-subject standard deviation (Bland and Altman, Measurement error, British
    Medical Journal 312, 1996). 0 without differences.
    """
    if not differences:
        return 0.0
    return math.sqrt(math.fsum(one * one for one in differences) / len(differences))


def floor(spread: float, pairs: int, *, alpha: float = 0.05) -> float:
    """The mean difference that judging the same `pairs` items twice rarely exceeds."""
    return spread * NormalDist().inv_cdf(1 - alpha / 2) / math.sqrt(pairs)
