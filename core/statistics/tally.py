"""Sums over the pairs of one metric, for a comparison.

Importing this module loads no statistics library.
"""

import math
from array import array
from collections.abc import Sequence

from core.statistics.score_pair import ScorePair


class Tally:
    """Counts, sums and differences; takes 8 bytes per pair and 16 per cluster."""

    def __init__(self) -> None:
        self.pairs = 0
        self.baseline_sum = self.candidate_sum = 0.0
        self.wins = self.ties = self.losses = 0
        self.passed_both = self.passed_only_baseline = self.passed_only_candidate = 0
        self.differences = array("d")
        self.cluster_sums = array("d")
        self.cluster_counts = array("d")

    def add(self, pairs: Sequence[ScorePair]) -> None:
        """Adds whole clusters: no other call may have pairs of these clusters."""
        clusters: dict[str, list[float]] = {}
        for pair in pairs:
            difference = pair.difference
            self.differences.append(difference)
            clusters.setdefault(pair.cluster, []).append(difference)
            self.wins += difference > 0
            self.ties += difference == 0
            self.losses += difference < 0
            self.passed_both += pair.baseline_passed and pair.candidate_passed
            self.passed_only_baseline += pair.baseline_passed and not pair.candidate_passed
            self.passed_only_candidate += pair.candidate_passed and not pair.baseline_passed
        for differences in clusters.values():
            self.cluster_sums.append(math.fsum(differences))
            self.cluster_counts.append(len(differences))
        self.pairs += len(pairs)
        self.baseline_sum += math.fsum(pair.baseline for pair in pairs)
        self.candidate_sum += math.fsum(pair.candidate for pair in pairs)
