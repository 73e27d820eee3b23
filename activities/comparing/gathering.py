"""Collects the figures of one metric of a comparison, pair by pair."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

from core.pairing import KeyedScore, Left, Paired, pair
from core.statistics.score_pair import ScorePair
from core.statistics.tally import Tally

MAX_CHANGED: Final = 20
"""Items listed per metric and direction."""

MAX_LISTED: Final = 100
"""Maximum number of listed unpaired items per reason; counts are complete."""


class Gathered:
    """The figures of one metric, and the items that its comparison lists by name."""

    def __init__(self, threshold: float) -> None:
        self.threshold = threshold
        self.tally = Tally()
        self._counts = dict.fromkeys(asdict(Left()), 0)
        self._listed: dict[str, list[str]] = {name: [] for name in self._counts}
        self._improved: list[dict[str, Any]] = []
        self._worsened: list[dict[str, Any]] = []

    def add(self, baseline: Sequence[KeyedScore], candidate: Sequence[KeyedScore]) -> None:
        """Adds scores of both sides. Each call must contain whole clusters."""
        paired = pair(baseline, candidate, threshold=self.threshold)
        self.tally.add(paired.pairs)
        for name, keys in asdict(paired.left).items():
            self._counts[name] += len(keys)
            self._listed[name] = sorted(self._listed[name] + keys[:MAX_LISTED])[:MAX_LISTED]
        self._improved = _most_changed(self._improved, paired, sign=1)
        self._worsened = _most_changed(self._worsened, paired, sign=-1)

    def lists(self) -> dict[str, Any]:
        listed = {name: keys for name, keys in self._listed.items() if keys}
        return {
            "unpaired": {**self._counts, "listed": listed},
            "most_improved": self._improved,
            "most_worsened": self._worsened,
        }


def _most_changed(
    known: list[dict[str, Any]], paired: Paired, *, sign: int
) -> list[dict[str, Any]]:
    """The largest changes in one direction; items that crossed the threshold come first."""
    changed = [score_pair for score_pair in paired.pairs if score_pair.difference * sign > 0]
    changed.sort(key=place_of_pair)
    items = known + [changed_item(score_pair, paired) for score_pair in changed[:MAX_CHANGED]]
    items.sort(key=place_of_item)
    return items[:MAX_CHANGED]


def place_of_item(item: Mapping[str, Any]) -> tuple[bool, float, str]:
    """The sort key of an item, in the same order as `place_of_pair`."""
    return item["change"] == "none", -abs(item["difference"]), item["key"]


def place_of_pair(score_pair: ScorePair) -> tuple[bool, float, str]:
    """The sort key of a pair: pairs that crossed the threshold come first, then the largest
    changes.
    """
    return not score_pair.crossed, -abs(score_pair.difference), score_pair.key


def changed_item(score_pair: ScorePair, paired: Paired) -> dict[str, Any]:
    """The pair in the form of a comparison's result."""
    change = "none"
    if score_pair.crossed:
        change = "fail to pass" if score_pair.candidate_passed else "pass to fail"
    baseline_score, candidate_score = paired.scores[score_pair.key]
    return {
        "key": score_pair.key,
        "baseline": score_pair.baseline,
        "candidate": score_pair.candidate,
        "difference": score_pair.difference,
        "baseline_score_id": str(baseline_score),
        "candidate_score_id": str(candidate_score),
        "change": change,
    }
