"""Whole lists for exports, read page by page in the order of their key."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import select, tuple_
from sqlmodel import col

from core.db import paging, predicates
from core.db.database import Reader
from core.db.tables import EvalRun, Score, Trace
from core.filters import TraceFilters, TraceListFilters
from core.ids import ProjectId
from core.queries import score_reads, trace_reads
from core.queries.trace_reads import StoredTrace

SCORES_PER_PAGE: Final = 1_000
TRACES_PER_PAGE: Final = 100
MAX_PAGE_BYTES: Final = 2_000_000
"""Stored bytes of the traces that are in memory at once; a larger trace is alone."""


async def scores(db: Reader, project_id: ProjectId, run: EvalRun) -> AsyncIterator[Sequence[Score]]:
    """The scores of a run, ordered by target and metric."""
    after: tuple[str, str] | None = None
    while True:
        found = await score_reads.of_run(db, project_id, run, after=after, limit=SCORES_PER_PAGE)
        if not found:
            return
        after = found[-1].target_id, found[-1].name
        yield found
        # Otherwise the identity map would hold every row of the export.
        db.expunge_all()


async def traces(
    db: Reader, project_id: ProjectId, filters: TraceFilters | TraceListFilters
) -> AsyncIterator[list[StoredTrace]]:
    """Whole traces, oldest first, as many at once as fit into `MAX_PAGE_BYTES`."""
    after: tuple[datetime, UUID] | None = None
    place = (col(Trace.started_at), col(Trace.id))
    while True:
        query = select(*place, col(Trace.size_bytes)).where(
            *predicates.traces_where(filters, project_id)
        )
        if after is not None:
            query = query.where(tuple_(*place) > tuple_(*after))
        rows = (await db.execute(query.order_by(*place).limit(TRACES_PER_PAGE))).all()
        if not rows:
            return
        after = rows[-1][0], rows[-1][1]
        sizes = ((trace_id, size) for _, trace_id, size in rows)
        for ids in paging.chunks_by_size(sizes, count=TRACES_PER_PAGE, size=MAX_PAGE_BYTES):
            yield [await trace_reads.get(db, project_id, trace_id) for trace_id in ids]
