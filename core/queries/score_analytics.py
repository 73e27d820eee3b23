"""Analytics of scores of traces and of sessions.

Only numeric successes count: the scores with a `number`.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import accumulate, groupby
from operator import attrgetter
from typing import Any, Final

from sqlalchemy import BigInteger, ColumnElement, Float, cast, func, select
from sqlmodel import col

from core.db import sql_functions
from core.db.database import Reader
from core.db.sql_functions import Granularity
from core.db.tables import Score, metadata
from core.ids import ProjectId, ScoreStatus, TargetType
from core.queries.number_sums import NumberSums

_SCORE: Final = metadata.tables["score"]

_STEPS: Final = 10_000
"""Stored numbers are whole multiples of this step."""

_PLACES: Final = 6


@dataclass(frozen=True, slots=True)
class ScoreWindow:
    """Selects scores: `start` is included, `end` is not, and None means no bound."""

    project_id: ProjectId
    target_type: TargetType
    metric_name: str | None = None
    start: datetime | None = None
    end: datetime | None = None

    def where(self) -> list[ColumnElement[bool]]:
        predicates = [
            col(Score.project_id) == self.project_id,
            col(Score.target_type) == self.target_type,
        ]
        if self.metric_name is not None:
            predicates.append(col(Score.name) == self.metric_name)
        if self.start is not None:
            predicates.append(col(Score.created_at) >= self.start)
        if self.end is not None:
            predicates.append(col(Score.created_at) < self.end)
        return predicates


@dataclass(frozen=True, slots=True)
class MetricSummary:
    """`interval` is the 95 % confidence interval of the mean; None for fewer than two numbers."""

    metric_name: str
    avg_score: float | None
    min_score: float | None
    max_score: float | None
    median_score: float | None
    success_count: int
    failed_count: int
    latest_score_at: datetime | None
    interval: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class TrendPoint:
    """`bucket` is the start of the time bucket; `interval` is the 95 % confidence interval of the
    mean.
    """

    bucket: datetime
    metric_name: str
    avg_score: float
    count: int
    interval: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class DistributionBucket:
    """Scores from `bucket_min` to below `bucket_max`; the last bucket includes 1.0."""

    bucket: int
    bucket_min: float
    bucket_max: float
    count: int


def _counts_in_figures() -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return (col(Score.status) == ScoreStatus.SUCCESS, col(Score.number).is_not(None))


async def summary(db: Reader, scope: ScoreWindow) -> list[MetricSummary]:
    """By metric name. The counts of success and failure include scores without a number."""
    # Numbers have four decimal places, so even many scores have few different numbers.
    counts = await db.execute(
        select(
            *(_SCORE.c.name, _SCORE.c.status, _SCORE.c.number),
            func.count().label("times"),
            func.max(_SCORE.c.created_at).label("latest"),
        )
        .where(*scope.where())
        .group_by(_SCORE.c.name, _SCORE.c.status, _SCORE.c.number)
        .order_by(_SCORE.c.name, _SCORE.c.number)
    )
    by_metric = groupby(counts, key=attrgetter("name"))
    return [_summary(name, list(rows)) for name, rows in by_metric]


def _summary(name: str, rows: Sequence[Any]) -> MetricSummary:
    """`rows` count the scores of the metric by status and number, lowest number first."""
    succeeded = [row for row in rows if row.status is ScoreStatus.SUCCESS]
    numbered = [row for row in succeeded if row.number is not None]
    sums = NumberSums()
    for row in numbered:
        total = row.times * row.number
        sums.add(row.times, total, total * row.number)
    return MetricSummary(
        metric_name=name,
        avg_score=None if sums.mean is None else round(sums.mean, _PLACES),
        min_score=numbered[0].number if numbered else None,
        max_score=numbered[-1].number if numbered else None,
        median_score=_median([(row.number, row.times) for row in numbered]),
        success_count=sum(row.times for row in succeeded),
        failed_count=sum(row.times for row in rows if row.status is ScoreStatus.FAILED),
        latest_score_at=max(row.latest for row in rows),
        interval=sums.interval,
    )


def _median(counted: Sequence[tuple[float, int]]) -> float | None:
    """The median of numbers with their counts, the lowest first; None without a number."""
    if not counted:
        return None
    numbers = [number for number, _ in counted]
    ends = list(accumulate(times for _, times in counted))
    middle = (ends[-1] - 1) / 2
    around = [numbers[bisect_right(ends, int(place))] for place in (middle, middle + 0.5)]
    return round(sum(around) / 2, _PLACES)


async def trend(db: Reader, scope: ScoreWindow, granularity: Granularity) -> list[TrendPoint]:
    """Oldest first, then by metric; times without a score have no point."""
    scores = (
        select(
            sql_functions.time_bucket(_SCORE.c.created_at, granularity).label("bucket"),
            col(Score.name),
            col(Score.number),
        )
        .where(*scope.where(), *_counts_in_figures())
        .subquery()
    )
    rows = await db.execute(
        select(
            scores.c.bucket,
            scores.c.name,
            func.count().label("times"),
            func.sum(scores.c.number).label("total"),
            func.sum(scores.c.number * scores.c.number).label("squares"),
        )
        .group_by(scores.c.bucket, scores.c.name)
        .order_by(scores.c.bucket, scores.c.name)
    )
    return [_trend_point(row) for row in rows]


def _trend_point(row: Any) -> TrendPoint:
    sums = NumberSums(row.times, row.total, row.squares)
    mean = round(row.total / row.times, _PLACES)
    return TrendPoint(row.bucket, row.name, mean, row.times, sums.interval)


async def distribution(db: Reader, scope: ScoreWindow, buckets: int) -> list[DistributionBucket]:
    """Buckets of equal width over [0, 1], including empty ones."""
    # Computed with whole numbers, because 0.29 · 100 is slightly below 29 in binary floats.
    step = cast(func.round(cast(col(Score.number), Float) * _STEPS), BigInteger)
    places = (
        select((step * buckets // _STEPS).label("place"))
        .where(*scope.where(), *_counts_in_figures())
        .subquery()
    )
    rows = await db.execute(
        select(places.c.place, func.count().label("times")).group_by(places.c.place)
    )
    counts = [0] * buckets
    for row in rows:
        counts[min(row.place, buckets - 1)] += row.times
    return [
        DistributionBucket(n + 1, n / buckets, (n + 1) / buckets, count)
        for n, count in enumerate(counts)
    ]
