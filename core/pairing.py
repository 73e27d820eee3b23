"""Pairs the items of two runs.

`trace_id` (or `session_id`): the same target, judged twice. `metadata.<path>`: traces whose
metadata has the same value at the path. `tag:<prefix>`: traces with the same tag that begins
with the prefix. Several traces of one run under one key are averaged.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

from core.errors import Invalid
from core.statistics.score_pair import ScorePair

MAX_PATH_LENGTH: Final = 255


@dataclass(frozen=True, slots=True)
class KeyedScore:
    """A score of a run, and the key of its item.

    `number` is None if the pair FAILED or, with `failed` false, if the metric does not apply.
    `cluster` is the session of the item, or its key. Both sides of a key have the same cluster.
    """

    id: UUID
    key: str
    cluster: str
    failed: bool
    number: float | None


@dataclass(frozen=True, slots=True)
class TargetLabels:
    """Fields of a trace that pairing and clustering use."""

    session_id: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    tags: tuple[str, ...] = ()


@dataclass(slots=True)
class Left:
    """Numbers of unpaired items of a metric, by reason."""

    only_baseline: list[str] = field(default_factory=list)
    only_candidate: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    not_applicable: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Paired:
    pairs: list[ScorePair]
    left: Left
    scores: dict[str, tuple[UUID, UUID]]
    """The scores of each key on both sides."""


class Key:
    """Reads the key of a target by a rule. Raises Invalid for an unknown rule."""

    def __init__(self, rule: str) -> None:
        self.rule = rule
        kind, _, rest = rule.partition("." if rule.startswith("metadata.") else ":")
        if rule in ("trace_id", "session_id"):
            self._path: tuple[str, ...] | None = None
            self._prefix: str | None = None
        elif kind == "metadata" and rest and len(rule) <= MAX_PATH_LENGTH:
            self._path, self._prefix = tuple(rest.split(".")), None
        elif kind == "tag" and rest and len(rule) <= MAX_PATH_LENGTH:
            self._path, self._prefix = None, rest
        else:
            raise Invalid(
                "pair_by must be trace_id, session_id, metadata.<path> or tag:<prefix>, "
                f"in at most {MAX_PATH_LENGTH} characters."
            )

    @property
    def needs_labels(self) -> bool:
        return self._path is not None or self._prefix is not None

    def of(self, target_id: str, labels: TargetLabels | None) -> str | None:
        """The key of the target; None if the target has no key, so that it stays unpaired."""
        if not self.needs_labels:
            return target_id
        if labels is None:
            return None
        if self._prefix is not None:
            return next((tag for tag in sorted(labels.tags) if tag.startswith(self._prefix)), None)
        value: Any = labels.metadata
        for name in self._path or ():
            value = value.get(name) if isinstance(value, Mapping) else None
        return None if value is None or isinstance(value, (dict, list)) else str(value)

    def place(self, target_id: str, labels: TargetLabels | None) -> tuple[str, str]:
        """The key and the cluster of a target."""
        key = self.of(target_id, labels)
        if key is None:
            # A separate item, which counts as unpaired.
            key = f"without a key: {target_id}"
        if self.needs_labels or labels is None or not labels.session_id:
            return key, key
        return key, f"session {labels.session_id}"


def pair(
    baseline: Iterable[KeyedScore], candidate: Iterable[KeyedScore], *, threshold: float
) -> Paired:
    """Pairs the scores of one metric. Repeats under one key are averaged."""
    sides = [_by_key(side) for side in (baseline, candidate)]
    left, pairs, scores = Left(), [], {}
    for key in sorted(sides[0].keys() | sides[1].keys()):
        of_baseline, of_candidate = (side.get(key) for side in sides)
        if of_baseline is None or of_candidate is None:
            (left.only_candidate if of_baseline is None else left.only_baseline).append(key)
            continue
        means = [_mean(group) for group in (of_baseline, of_candidate)]
        if means[0] is None or means[1] is None:
            failed = any(
                _mean(group) is None and group[0].failed for group in (of_baseline, of_candidate)
            )
            (left.failed if failed else left.not_applicable).append(key)
            continue
        pairs.append(
            ScorePair(
                key=key,
                cluster=of_baseline[0].cluster,
                baseline=means[0],
                candidate=means[1],
                baseline_passed=means[0] >= threshold,
                candidate_passed=means[1] >= threshold,
            )
        )
        scores[key] = (of_baseline[0].id, of_candidate[0].id)
    return Paired(pairs, left, scores)


def _by_key(scores: Iterable[KeyedScore]) -> dict[str, list[KeyedScore]]:
    found: defaultdict[str, list[KeyedScore]] = defaultdict(list)
    for score in scores:
        found[score.key].append(score)
    return found


def _mean(scores: list[KeyedScore]) -> float | None:
    numbers = [score.number for score in scores if score.number is not None]
    return math.fsum(numbers) / len(numbers) if numbers else None
