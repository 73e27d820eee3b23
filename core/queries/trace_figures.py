"""Figures over traces: by user, by time, by model."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import Column, ColumnElement, Float, case, cast, distinct, func, select

from core import dialect
from core.database import Reader
from core.dialect import Granularity
from core.ids import ProjectId, TraceStatus
from core.paging import Page
from core.queries import totals
from core.tables import metadata

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
    """`start` is included, `end` is not; None leaves that side open."""

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
    """Latencies are of the traces that have ended; null where none has."""

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
    """By user id, and how many there are in all: in this order a page reads its own users only."""
    known = (_TRACE.c.project_id == project_id, _TRACE.c.user_id.is_not(None))
    total = await totals.count(db, select(func.count(distinct(_TRACE.c.user_id))).where(*known))
    found = await db.execute(
        select(
            _TRACE.c.user_id,
            func.count().label("times"),
            func.min(_TRACE.c.started_at).label("first"),
            func.max(_TRACE.c.started_at).label("last"),
            _errors(_TRACE.c.status).label("errors"),
        )
        .where(*known)
        .group_by(_TRACE.c.user_id)
        .order_by(_TRACE.c.user_id)
        .limit(page.limit)
        .offset(page.offset)
    )
    return [UserFigures(*row) for row in found], total


async def traffic(
    db: Reader, project_id: ProjectId, period: Period, granularity: Granularity
) -> list[TrafficBucket]:
    """Oldest first; times without a trace have no bucket."""
    traces = (
        select(
            dialect.time_bucket(_TRACE.c.started_at, granularity).label("bucket"),
            _TRACE.c.status,
            _TRACE.c.latency_ms.label("ms"),
        )
        .where(_TRACE.c.project_id == project_id, *period.covers(_TRACE.c.started_at))
        .subquery()
    )
    found = await db.execute(
        select(
            traces.c.bucket,
            func.count().label("times"),
            _errors(traces.c.status).label("errors"),
            func.avg(traces.c.ms).label("avg"),
            dialect.percentiles(traces.c.ms, 50, 90, 99).label("percentiles"),
        )
        .group_by(traces.c.bucket)
        .order_by(traces.c.bucket)
    )
    return [
        TrafficBucket(
            *(row.bucket, row.times, row.errors, _rounded(row.avg)),
            *(_rounded(ms) for ms in row.percentiles or (None, None, None)),
        )
        for row in found
    ]


async def spend(
    db: Reader, project_id: ProjectId, period: Period, granularity: Granularity
) -> list[SpendBucket]:
    """Oldest first; times without a trace have no bucket."""
    sums = ("total_tokens", "prompt_tokens", "completion_tokens", "total_cost")
    traces = (
        select(
            dialect.time_bucket(_TRACE.c.started_at, granularity).label("bucket"),
            *(_TRACE.c[name] for name in sums),
        )
        .where(_TRACE.c.project_id == project_id, *period.covers(_TRACE.c.started_at))
        .subquery()
    )
    found = await db.execute(
        select(traces.c.bucket, *(_sum(traces.c[name]) for name in sums))
        .group_by(traces.c.bucket)
        .order_by(traces.c.bucket)
    )
    return [
        SpendBucket(bucket, int(total), int(prompt), int(completion), round(cost, _DOLLAR_PLACES))
        for bucket, total, prompt, completion, cost in found
    ]


async def models(db: Reader, project_id: ProjectId, period: Period) -> list[ModelFigures]:
    """What spans called in the period, the most called first."""
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
    # As floats: SQLite fails where whole numbers add up beyond 64 bits.
    return func.sum(cast(column, Float))


def _rounded(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else round(milliseconds, _MS_PLACES)
