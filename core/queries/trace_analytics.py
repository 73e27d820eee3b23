"""Analytics of traces: by user, by time, by model."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import Column, ColumnElement, Float, case, cast, distinct, func, select

from core.db import paging, sql_functions
from core.db.database import Reader
from core.db.paging import Page
from core.db.sql_functions import Granularity
from core.db.tables import metadata
from core.ids import ProjectId, TraceStatus

_TRACE: Final = metadata.tables["trace"]
_SPAN: Final = metadata.tables["span"]

_MS_PLACES: Final = 3
_DOLLAR_PLACES: Final = 9


class TraceFigure(StrEnum):
    VOLUME = "volume"
    ERRORS = "errors"
    LATENCY = "latency"
    COST = "cost"
    TOKENS = "tokens"
    MODELS = "models"


@dataclass(frozen=True, slots=True)
class Period:
    """`start` is included, `end` is not; None means no bound."""

    start: datetime | None = None
    end: datetime | None = None

    def covers(self, column: Column[Any]) -> list[ColumnElement[bool]]:
        lower = [] if self.start is None else [column >= self.start]
        upper = [] if self.end is None else [column < self.end]
        return lower + upper


@dataclass(frozen=True, slots=True)
class UserFigures:
    user_id: str
    trace_count: int
    first_seen: datetime
    last_seen: datetime
    error_count: int


@dataclass(frozen=True, slots=True)
class TrafficBucket:
    """Latencies of ended traces; null if no trace has ended."""

    bucket: datetime
    trace_count: int
    error_count: int
    avg_latency_ms: float | None
    p50_latency_ms: float | None
    p90_latency_ms: float | None
    p99_latency_ms: float | None


@dataclass(frozen=True, slots=True)
class SpendBucket:
    bucket: datetime
    total_tokens: int
    prompt_tokens: int
    completion_tokens: int
    total_cost: float


@dataclass(frozen=True, slots=True)
class ModelFigures:
    model: str
    call_count: int
    total_tokens: int
    total_cost: float


async def users(db: Reader, project_id: ProjectId, page: Page) -> tuple[list[UserFigures], int]:
    """Most recently seen first, and the total."""
    known = (_TRACE.c.project_id == project_id, _TRACE.c.user_id.is_not(None))
    total = await db.totals.count(db, select(func.count(distinct(_TRACE.c.user_id))).where(*known))
    query = (
        select(
            _TRACE.c.user_id,
            func.count().label("times"),
            func.min(_TRACE.c.started_at).label("first"),
            func.max(_TRACE.c.started_at).label("last"),
            _errors(_TRACE.c.status).label("errors"),
        )
        .where(*known)
        .group_by(_TRACE.c.user_id)
        .order_by(func.max(_TRACE.c.started_at).desc(), _TRACE.c.user_id)
    )
    rows = await db.execute(paging.on_page(query, page))
    return [UserFigures(*row) for row in rows], total


async def traffic(
    db: Reader, project_id: ProjectId, period: Period, granularity: Granularity
) -> list[TrafficBucket]:
    """Oldest first; times without a trace have no bucket."""
    traces = (
        select(
            sql_functions.time_bucket(_TRACE.c.started_at, granularity).label("bucket"),
            _TRACE.c.status,
            _TRACE.c.latency_ms.label("ms"),
        )
        .where(_TRACE.c.project_id == project_id, *period.covers(_TRACE.c.started_at))
        .subquery()
    )
    rows = await db.execute(
        select(
            traces.c.bucket,
            func.count().label("times"),
            _errors(traces.c.status).label("errors"),
            func.avg(traces.c.ms).label("avg"),
            sql_functions.percentiles(traces.c.ms, 50, 90, 99).label("percentiles"),
        )
        .group_by(traces.c.bucket)
        .order_by(traces.c.bucket)
    )
    return [
        TrafficBucket(
            *(row.bucket, row.times, row.errors, _rounded(row.avg)),
            *(_rounded(ms) for ms in row.percentiles or (None, None, None)),
        )
        for row in rows
    ]


async def spend(
    db: Reader, project_id: ProjectId, period: Period, granularity: Granularity
) -> list[SpendBucket]:
    """Oldest first; times without a trace have no bucket."""
    sums = ("total_tokens", "prompt_tokens", "completion_tokens", "total_cost")
    traces = (
        select(
            sql_functions.time_bucket(_TRACE.c.started_at, granularity).label("bucket"),
            *(_TRACE.c[name] for name in sums),
        )
        .where(_TRACE.c.project_id == project_id, *period.covers(_TRACE.c.started_at))
        .subquery()
    )
    rows = await db.execute(
        select(traces.c.bucket, *(_sum(traces.c[name]) for name in sums))
        .group_by(traces.c.bucket)
        .order_by(traces.c.bucket)
    )
    return [
        SpendBucket(bucket, int(total), int(prompt), int(completion), round(cost, _DOLLAR_PLACES))
        for bucket, total, prompt, completion, cost in rows
    ]


async def models(db: Reader, project_id: ProjectId, period: Period) -> list[ModelFigures]:
    """The models that spans of the period called, most called first."""
    calls = func.count().label("calls")
    query = (
        select(_SPAN.c.model, calls, _sum(_SPAN.c.total_tokens), _sum(_SPAN.c.total_cost))
        .where(
            _SPAN.c.project_id == project_id,
            _SPAN.c.model.is_not(None),
            *period.covers(_SPAN.c.started_at),
        )
        .group_by(_SPAN.c.model)
        .order_by(calls.desc(), _SPAN.c.model)
    )
    return [
        ModelFigures(model, times, int(tokens), round(cost, _DOLLAR_PLACES))
        for model, times, tokens, cost in await db.execute(query)
    ]


def _errors(status: Any) -> ColumnElement[int]:
    return func.count(case((status == TraceStatus.ERROR, 1)))


def _sum(column: Any) -> ColumnElement[float]:
    # Summed as floats, because SQLite fails for sums of integers beyond 64 bits.
    return func.sum(cast(column, Float))


def _rounded(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else round(milliseconds, _MS_PLACES)
