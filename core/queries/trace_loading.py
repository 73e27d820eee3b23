"""Loads traces as metrics see them, several per query.

The statements are built once: a worker executes them tens of times per second, and SQLAlchemy takes
as long to build one as to execute it.
"""

from collections.abc import Sequence
from typing import Any, cast
from uuid import UUID

from sqlalchemy import Row, bindparam, select

from core import trace_model
from core.db.database import Reader
from core.db.tables import metadata
from core.ids import ProjectId, SpanId, SpanKind, SpanStatus, TraceId, TraceStatus

_TRACE = metadata.tables["trace"]
_SPAN = metadata.tables["span"]

_TRACES = select(
    *(
        _TRACE.c[name]
        for name in (
            *("id", "name", "status", "input", "output", "metadata", "started_at", "ended_at"),
            *("session_id", "environment"),
        )
    )
).where(
    _TRACE.c.project_id == bindparam("project_id"),
    _TRACE.c.id.in_(bindparam("ids", expanding=True)),
)

_SPANS = (
    select(
        *(
            _SPAN.c[name]
            for name in (
                *("trace_id", "id", "parent_span_id", "name", "kind", "status", "input", "output"),
                *("error", "model", "metadata", "started_at", "ended_at"),
            )
        )
    )
    .where(
        _SPAN.c.project_id == bindparam("project_id"),
        _SPAN.c.trace_id.in_(bindparam("ids", expanding=True)),
    )
    .order_by(_SPAN.c.started_at, _SPAN.c.id)
)


async def load(
    db: Reader, project_id: ProjectId, ids: Sequence[UUID]
) -> dict[UUID, trace_model.Trace]:
    """The existing traces, with their spans ordered by start. All traces are in memory at once."""
    asked = {"project_id": project_id, "ids": ids}
    rows = (await db.execute(_TRACES, asked)).all()
    spans: dict[UUID, list[trace_model.Span]] = {row.id: [] for row in rows}
    for span in await db.execute(_SPANS, asked):
        spans[span.trace_id].append(_span(span))
    return {row.id: _trace(row, spans[row.id]) for row in rows}


# Validated on ingestion; validating megabytes of content again would take longer than reading them.


def _trace(row: Row[Any], spans: Sequence[trace_model.Span]) -> trace_model.Trace:
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
        spans=tuple(spans),
    )


def _span(row: Row[Any]) -> trace_model.Span:
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
