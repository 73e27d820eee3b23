"""Figures over scores, of traces and of sessions alike.

Only numeric successes count in them: they are the scores with a `number`.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import BigInteger, ColumnElement, Float, case, cast, func, select
from sqlmodel import col

from core import dialect
from core.database import Reader
from core.dialect import Granularity
from core.ids import ProjectId, ScoreStatus, TargetType
from core.tables import Score, metadata

_SCORE: Final = metadata.tables["score"]

_STEPS: Final = 10_000
"""A number has at most four decimal places: in steps of these it is a whole one."""

_PLACES: Final = 6


@dataclass(frozen=True, slots=True)
class Scope:
    """Which scores: `start` is included, `end` is not, None leaves that side open."""

    project_id: ProjectId
    target_type: TargetType
    metric_name: str | None = None
    start: datetime | None = None
    end: datetime | None = None

    def where(self) -> list[ColumnElement[bool]]:
        found = [
            col(Score.project_id) == self.project_id,
            col(Score.target_type) == self.target_type,
        ]
        if self.metric_name is not None:
            found.append(col(Score.name) == self.metric_name)
        if self.start is not None:
            found.append(col(Score.created_at) >= self.start)
        if self.end is not None:
            found.append(col(Score.created_at) < self.end)
        return found


@dataclass(frozen=True, slots=True)
class MetricSummary:
    metric_name: str
    avg_score: float | None
    min_score: float | None
    max_score: float | None
    median_score: float | None
    success_count: int
    failed_count: int
    latest_score_at: datetime | None


@dataclass(frozen=True, slots=True)
class TrendPoint:
    """`bucket` is where it begins."""

    bucket: datetime
    metric_name: str
    avg_score: float
    count: int


@dataclass(frozen=True, slots=True)
class DistributionBucket:
    """Scores from `bucket_min` on and below `bucket_max`; the last one has 1.0 as well."""

    bucket: int
    bucket_min: float
    bucket_max: float
    count: int


def _counts_in_figures() -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return (col(Score.status) == ScoreStatus.SUCCESS, col(Score.number).is_not(None))


async def summary(db: Reader, scope: Scope) -> list[MetricSummary]:
    """By metric name. Success and failure are counted for scores without a number, too."""
    succeeded = _SCORE.c.status == ScoreStatus.SUCCESS
    number = case((succeeded, _SCORE.c.number))
    found = await db.execute(
        select(
            _SCORE.c.name,
            func.avg(number).label("avg"),
            func.min(number).label("lowest"),
            func.max(number).label("highest"),
            dialect.percentiles(number, 50).label("median"),
            func.count(case((succeeded, 1))).label("successes"),
            func.count(case((_SCORE.c.status == ScoreStatus.FAILED, 1))).label("failures"),
            func.max(_SCORE.c.created_at).label("latest"),
        )
        .where(*scope.where())
        .group_by(_SCORE.c.name)
        .order_by(_SCORE.c.name)
    )
    return [_summary(row) for row in found]


def _summary(row: Any) -> MetricSummary:
    return MetricSummary(
        metric_name=row.name,
        avg_score=None if row.avg is None else round(row.avg, _PLACES),
        min_score=row.lowest,
        max_score=row.highest,
        median_score=None if row.median is None else round(row.median[0], _PLACES),
        success_count=row.successes,
        failed_count=row.failures,
        latest_score_at=row.latest,
    )


async def trend(db: Reader, scope: Scope, granularity: Granularity) -> list[TrendPoint]:
    """Oldest first, then by metric; times without a score have no point."""
    scores = (
        select(
            dialect.time_bucket(_SCORE.c.created_at, granularity).label("bucket"),
            col(Score.name),
            col(Score.number),
        )
        .where(*scope.where(), *_counts_in_figures())
        .subquery()
    )
    found = await db.execute(
        select(
            scores.c.bucket,
            scores.c.name,
            func.avg(scores.c.number).label("avg"),
            func.count().label("times"),
        )
        .group_by(scores.c.bucket, scores.c.name)
        .order_by(scores.c.bucket, scores.c.name)
    )
    return [TrendPoint(row.bucket, row.name, round(row.avg, _PLACES), row.times) for row in found]


async def distribution(db: Reader, scope: Scope, buckets: int) -> list[DistributionBucket]:
    """Every bucket of equal width over [0, 1], empty ones too."""
    # In whole numbers: 0.29 · 100 is a little below 29 in binary.
    step = cast(func.round(cast(col(Score.number), Float) * _STEPS), BigInteger)
    places = (
        select((step * buckets // _STEPS).label("place"))
        .where(*scope.where(), *_counts_in_figures())
        .subquery()
    )
    found = await db.execute(
        select(places.c.place, func.count().label("times")).group_by(places.c.place)
    )
    counts = [0] * buckets
    for row in found:
        counts[min(row.place, buckets - 1)] += row.times
    return [
        DistributionBucket(n + 1, n / buckets, (n + 1) / buckets, count)
        for n, count in enumerate(counts)
    ]
