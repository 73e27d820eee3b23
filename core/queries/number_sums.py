"""Means of scores and their confidence intervals, from sums computed by the database."""

from dataclasses import dataclass
from math import sqrt
from typing import Final

_CONFIDENCE: Final = 0.95


@dataclass(slots=True)
class NumberSums:
    """Sums over numbers in [0, 1], from which their mean and its interval follow."""

    count: int = 0
    total: float = 0.0
    squares: float = 0.0

    def add(self, count: int, total: float, squares: float) -> None:
        self.count += count
        self.total += total
        self.squares += squares

    @property
    def mean(self) -> float | None:
        return self.total / self.count if self.count else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 95 % confidence interval of the mean by Student's t, clipped to [0, 1].

        None for fewer than two numbers.
        """
        if self.count < 2:
            return None
        # Workers import this module and never compute an interval; SciPy takes 20 MB.
        from scipy.special import stdtrit

        mean = self.total / self.count
        variance = max(0.0, (self.squares - self.count * mean * mean) / (self.count - 1))
        quantile = float(stdtrit(self.count - 1, 1 - (1 - _CONFIDENCE) / 2))
        half = quantile * sqrt(variance / self.count)
        return max(0.0, mean - half), min(1.0, mean + half)
