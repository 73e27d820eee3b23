"""One item with a score on both sides. Importing this module loads no statistics library."""

from dataclasses import dataclass
from typing import Final

DECIMALS: Final = 4
"""Scores are stored with four decimal places; closer values are ties."""


@dataclass(frozen=True, slots=True)
class ScorePair:
    """The scores of one item on both sides, and whether each reached its threshold."""

    key: str
    cluster: str
    baseline: float
    candidate: float
    baseline_passed: bool
    candidate_passed: bool

    @property
    def crossed(self) -> bool:
        """Whether only one of the scores reached its threshold."""
        return self.baseline_passed != self.candidate_passed

    @property
    def difference(self) -> float:
        return round(self.candidate - self.baseline, DECIMALS)
