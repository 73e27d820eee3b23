"""Settles traces without a root span when no span has arrived for a while."""

from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import ColumnElement, and_, literal_column, not_, select

from core import clock
from core.db.database import Database, Reader, Writer
from core.db.tables import metadata
from core.ids import ProjectId, SpanKind, SpanStatus, TraceStatus
from core.queries.span_writes import Key
from core.queries.trace_writes import change, lock

_TRACE: Final = metadata.tables["trace"]
_SPAN: Final = metadata.tables["span"]
_MAX_PER_ROUND: Final = 500
_IS_RUNNING: Final = literal_column("trace.status") == literal_column("'RUNNING'")
"""Selects unsettled traces, in the words of the partial index over them."""


def is_settled() -> ColumnElement[bool]:
    """A predicate on `Trace`: the root has arrived or is no longer expected."""
    return not_(and_(_TRACE.c.from_spans, _TRACE.c.status == TraceStatus.RUNNING))


async def settle_traces(database: Database, *, after_seconds: float) -> int:
    """Gives the final status to traces that got no span for this long; returns their number.

    Name, input, output and times still come from the earliest span whose parent never arrived.
    """
    before = clock.now() - timedelta(seconds=after_seconds)
    async with database.read() as db:
        waiting = await _waiting(db, before)
    settled = 0
    for key in waiting:
        async with database.write() as db:
            settled += await _settle(db, key, before)
    return settled


async def _waiting(db: Reader, before: datetime) -> list[Key]:
    rows = await db.execute(
        select(_TRACE.c.project_id, _TRACE.c.id)
        .where(_IS_RUNNING, _TRACE.c.updated_at < before, _TRACE.c.from_spans)
        .order_by(_TRACE.c.updated_at)
        .limit(_MAX_PER_ROUND)
    )
    return [(ProjectId(row.project_id), row.id) for row in rows]


async def _settle(db: Writer, key: Key, before: datetime) -> bool:
    stored = await lock(db, key)
    if stored is None or not stored["from_spans"] or stored["status"] != TraceStatus.RUNNING:
        return False
    if not await _is_quiet(db, key, before):
        return False
    failed = await _has_failed(db, key)
    await change(
        db, key, stored, {"status": TraceStatus.ERROR if failed else TraceStatus.COMPLETED}
    )
    return True


async def _is_quiet(db: Writer, key: Key, before: datetime) -> bool:
    """Whether no span has arrived since the trace was listed."""
    rows = await db.execute(
        select(_TRACE.c.updated_at).where(_TRACE.c.project_id == key[0], _TRACE.c.id == key[1])
    )
    updated_at: datetime = rows.scalar_one()
    return updated_at < before


async def _has_failed(db: Writer, key: Key) -> bool:
    """Whether a span whose parent never arrived ended in an error.

    Other errors do not count, because agents survive errors of tools.
    """
    rows = await db.execute(
        select(_SPAN.c.id, _SPAN.c.parent_span_id, _SPAN.c.kind, _SPAN.c.status).where(
            _SPAN.c.project_id == key[0], _SPAN.c.trace_id == key[1]
        )
    )
    spans = rows.all()
    ids: set[UUID] = {span.id for span in spans}
    return any(
        span.status == SpanStatus.ERROR and span.kind != SpanKind.TOOL
        for span in spans
        if span.parent_span_id not in ids
    )
