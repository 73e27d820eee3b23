"""Figures of a run: counts, mean, interval and histogram per metric."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Self
from uuid import UUID

from sqlalchemy import BigInteger, Float, cast, func, select
from sqlmodel import col

from core.db.database import Reader
from core.db.tables import EvalRun, Score
from core.ids import ProjectId, ScoreStatus, TargetType
from core.queries import run_pairs
from core.queries.number_sums import NumberSums
from core.score_values import DEFAULT_THRESHOLD

BUCKETS: Final = 20
"""Buckets of equal width over [0, 1]; the last bucket includes 1."""

_HUNDREDTHS: Final = 100
"""Scores are counted by hundredth.

Thresholds are whole hundredths, so the counts give the number of passed scores.
"""

_TENTHOUSANDTHS: Final = 10_000
"""Stored numbers have four decimal places."""


@dataclass(slots=True)
class MetricCounts:
    """The scores by one metric in one run.

    `hundredths`: the counts of numbers in [n, n + 1) / 100; a score of 1 is in the last.
    """

    sums: NumberSums = field(default_factory=NumberSums)
    failed: int = 0
    not_applicable: int = 0
    hundredths: list[int] = field(default_factory=lambda: [0] * _HUNDREDTHS)

    def stored(self) -> dict[str, Any]:
        """The counts as JSON, for `of_stored`."""
        return {
            "total": self.sums.total,
            "squares": self.sums.squares,
            "failed": self.failed,
            "not_applicable": self.not_applicable,
            "hundredths": self.hundredths,
        }

    @classmethod
    def of_stored(cls, stored: Mapping[str, Any]) -> Self:
        hundredths = list(stored["hundredths"])
        sums = NumberSums(sum(hundredths), stored["total"], stored["squares"])
        return cls(sums, stored["failed"], stored["not_applicable"], hundredths)


@dataclass(frozen=True, slots=True)
class MetricFigures:
    """One metric in one run."""

    name: str
    threshold: float
    counts: MetricCounts = field(default_factory=MetricCounts)

    @property
    def sums(self) -> NumberSums:
        return self.counts.sums

    @property
    def failed(self) -> int:
        return self.counts.failed

    @property
    def not_applicable(self) -> int:
        return self.counts.not_applicable

    @property
    def scored(self) -> int:
        return self.sums.count

    @property
    def below(self) -> int:
        """Scores under the threshold."""
        return sum(self.counts.hundredths[: round(self.threshold * _HUNDREDTHS)])

    @property
    def passed(self) -> int:
        return self.scored - self.below

    @property
    def ended(self) -> int:
        return self.scored + self.failed + self.not_applicable

    @property
    def histogram(self) -> list[int]:
        """The counts per bucket of `BUCKETS`."""
        width = _HUNDREDTHS // BUCKETS
        counts = self.counts.hundredths
        return [sum(counts[first : first + width]) for first in range(0, _HUNDREDTHS, width)]


async def of_run(
    db: Reader, project_id: ProjectId, run: EvalRun, thresholds: Mapping[str, float]
) -> list[MetricFigures]:
    """In the order of the run's metrics, including metrics without a score."""
    found = (await of_runs(db, project_id, [run], thresholds)).get(run.id, {})
    return [
        found.get(name) or MetricFigures(name, thresholds.get(name, DEFAULT_THRESHOLD))
        for name in run.metric_names
    ]


async def of_runs(
    db: Reader, project_id: ProjectId, runs: Sequence[EvalRun], thresholds: Mapping[str, float]
) -> dict[UUID, dict[str, MetricFigures]]:
    """By run and metric name.

    Omits runs and metrics without scores.

    Reads stored figures where a run has them, and counts the scores of the other runs.
    """
    counts = {
        run.id: {name: MetricCounts.of_stored(one) for name, one in run.figures.items()}
        for run in runs
        if run.figures is not None
    }
    for target_type in TargetType:
        ids = [run.id for run in runs if run.figures is None and run.target_type is target_type]
        if ids:
            counts |= await counted(db, project_id, target_type, ids)
    return {
        run_id: {
            name: MetricFigures(name, thresholds.get(name, DEFAULT_THRESHOLD), one)
            for name, one in by_metric.items()
        }
        for run_id, by_metric in counts.items()
    }


async def counted(
    db: Reader, project_id: ProjectId, target_type: TargetType, run_ids: Sequence[UUID]
) -> dict[UUID, dict[str, MetricCounts]]:
    """By run and metric name, from an index over the scores."""
    place = _whole(col(Score.number)) * _HUNDREDTHS // _TENTHOUSANDTHS
    rows = await db.execute(
        select(
            col(Score.eval_run_id),
            col(Score.name),
            col(Score.status),
            place.label("place"),
            func.count().label("times"),
            func.coalesce(func.sum(col(Score.number)), 0.0).label("total"),
            func.coalesce(func.sum(col(Score.number) * col(Score.number)), 0.0).label("squares"),
        )
        .where(
            col(Score.project_id) == project_id,
            col(Score.target_type) == target_type,
            col(Score.eval_run_id).in_(run_ids),
        )
        .group_by(col(Score.eval_run_id), col(Score.name), col(Score.status), "place")
    )
    counts: dict[UUID, dict[str, MetricCounts]] = {}
    for row in rows:
        by_metric = counts.setdefault(row.eval_run_id, {})
        _count_in(by_metric.setdefault(row.name, MetricCounts()), row)
    return counts


def _whole(number: Any) -> Any:
    return cast(func.round(cast(number, Float) * _TENTHOUSANDTHS), BigInteger)


def _count_in(counts: MetricCounts, row: Any) -> None:
    if row.status is ScoreStatus.FAILED:
        counts.failed += row.times
    elif row.place is None:
        counts.not_applicable += row.times
    else:
        counts.sums.add(row.times, row.total, row.squares)
        counts.hundredths[min(int(row.place), _HUNDREDTHS - 1)] += row.times


@dataclass(frozen=True, slots=True)
class FailureGroup:
    """The failed pairs of a run that share a reason."""

    reason: str
    count: int


async def failures(
    db: Reader, project_id: ProjectId, run: EvalRun, *, limit: int
) -> list[FailureGroup]:
    """The most frequent reasons first."""
    rows = await db.execute(
        select(col(Score.reason), func.count().label("times"))
        .where(*run_pairs.of_run(project_id, run), col(Score.status) == ScoreStatus.FAILED)
        .group_by(col(Score.reason))
        .order_by(func.count().desc(), col(Score.reason))
        .limit(limit)
    )
    return [FailureGroup(row.reason or "", row.times) for row in rows]


@dataclass(frozen=True, slots=True)
class TargetMean:
    """A target of a run with the mean over its metrics."""

    target_id: str
    mean: float


async def worst_targets(
    db: Reader, project_id: ProjectId, run: EvalRun, *, limit: int
) -> list[TargetMean]:
    """The targets with the lowest mean first."""
    mean = func.avg(col(Score.number))
    rows = await db.execute(
        select(col(Score.target_id), mean.label("mean"))
        .where(*run_pairs.of_run(project_id, run), col(Score.number).is_not(None))
        .group_by(col(Score.target_id))
        .order_by(mean, col(Score.target_id))
        .limit(limit)
    )
    return [TargetMean(row.target_id, row.mean) for row in rows]


async def of_targets(
    db: Reader, project_id: ProjectId, run: EvalRun, target_ids: Sequence[str]
) -> dict[str, list[Score]]:
    """The run's scores of each of these targets."""
    rows = await db.scalars(
        select(Score).where(
            *run_pairs.of_run(project_id, run), col(Score.target_id).in_(target_ids)
        )
    )
    found: dict[str, list[Score]] = {target_id: [] for target_id in target_ids}
    for row in rows:
        found[row.target_id].append(row)
    return found
