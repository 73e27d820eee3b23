"""Loads traces as metrics see them, several per query.

The statements are built once: a worker executes them tens of times per second, and SQLAlchemy takes
as long to build one as to execute it.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, cast
from uuid import UUID

from sqlalchemy import Row, bindparam, select

from core import trace_model
from core.db.database import Reader
from core.db.deferred_json import MAX_SIZE_ON_LOOP, DeferredJson
from core.db.tables import metadata
from core.ids import ProjectId, SpanId, SpanKind, SpanStatus, TraceId, TraceStatus

_TRACE = metadata.tables["trace"]
_SPAN = metadata.tables["span"]

_TRACE_ROWS = DeferredJson(
    [
        _TRACE.c[name]
        for name in (
            *("id", "name", "status", "input", "output", "metadata", "started_at", "ended_at"),
            *("session_id", "environment", "updated_at"),
        )
    ]
)
_SPAN_ROWS = DeferredJson(
    [
        _SPAN.c[name]
        for name in (
            *("trace_id", "id", "parent_span_id", "name", "kind", "status", "input", "output"),
            *("error", "model", "metadata", "started_at", "ended_at"),
        )
    ]
)

_TRACES = select(*_TRACE_ROWS.columns).where(
    _TRACE.c.project_id == bindparam("project_id"),
    _TRACE.c.id.in_(bindparam("ids", expanding=True)),
)

_SPANS = (
    select(*_SPAN_ROWS.columns)
    .where(
        _SPAN.c.project_id == bindparam("project_id"),
        _SPAN.c.trace_id.in_(bindparam("ids", expanding=True)),
    )
    .order_by(_SPAN.c.started_at, _SPAN.c.id)
)


_SIZES = select(_TRACE.c.id, _TRACE.c.size_bytes).where(
    _TRACE.c.project_id == bindparam("project_id"),
    _TRACE.c.id.in_(bindparam("ids", expanding=True)),
)


async def sizes(db: Reader, project_id: ProjectId, ids: Sequence[UUID]) -> dict[UUID, int]:
    """The stored bytes of the existing traces."""
    rows = await db.execute(_SIZES, {"project_id": project_id, "ids": ids})
    return {row.id: row.size_bytes for row in rows}


async def sized(db: Reader, project_id: ProjectId, ids: Sequence[UUID]) -> list[tuple[UUID, int]]:
    """The traces in the given order, each with its stored bytes; 0 for one that does not exist."""
    known = await sizes(db, project_id, ids)
    return [(trace_id, known.get(trace_id, 0)) for trace_id in ids]


async def load(
    db: Reader, project_id: ProjectId, ids: Sequence[UUID]
) -> dict[UUID, trace_model.Trace]:
    """The existing traces, with their spans ordered by start. All traces are in memory at once."""
    asked = {"project_id": project_id, "ids": ids}
    traces = (await db.execute(_TRACES, asked)).all()
    spans = (await db.execute(_SPANS, asked)).all()
    if _TRACE_ROWS.size(traces) + _SPAN_ROWS.size(spans) <= MAX_SIZE_ON_LOOP:
        return _decoded(traces, spans)
    return await asyncio.to_thread(_decoded, traces, spans)


def _decoded(
    traces: Sequence[Row[Any]], spans: Sequence[Row[Any]]
) -> dict[UUID, trace_model.Trace]:
    rows = _TRACE_ROWS.decode(traces)
    of_trace: dict[UUID, list[trace_model.Span]] = {row.id: [] for row in rows}
    for span in _SPAN_ROWS.decode(spans):
        of_trace[span.trace_id].append(_span(span))
    return {row.id: _trace(row, of_trace[row.id]) for row in rows}


# Validated on ingestion; validating megabytes of content again would take longer than reading them.


def _trace(row: Any, spans: Sequence[trace_model.Span]) -> trace_model.Trace:
    return trace_model.Trace.model_construct(
        id=TraceId(row.id),
        name=row.name,
        status=TraceStatus(row.status),
        input=row.input,
        output=row.output,
        metadata=row.metadata,
        started_at=row.started_at,
        ended_at=row.ended_at,
        session_id=row.session_id,
        environment=row.environment,
        updated_at=row.updated_at,
        spans=tuple(spans),
    )


def _span(row: Any) -> trace_model.Span:
    return trace_model.Span.model_construct(
        id=SpanId(row.id),
        parent_id=cast(SpanId | None, row.parent_span_id),
        name=row.name,
        kind=SpanKind(row.kind),
        status=SpanStatus(row.status),
        input=row.input,
        output=row.output,
        error=row.error,
        model=row.model,
        metadata=row.metadata,
        started_at=row.started_at,
        ended_at=row.ended_at,
    )
