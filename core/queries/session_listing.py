"""Ids of the sessions on one page of a list, in order, and the total."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Select, exists, func, select
from sqlalchemy.orm import aliased
from sqlmodel import col

from core.db import paging, predicates, totals
from core.db.database import Reader
from core.db.paging import Page
from core.db.tables import Trace
from core.filters import SessionFilters, SessionListFilters
from core.ids import ProjectId


class SessionSortKey(StrEnum):
    RECENT = "recent"
    TRACE_COUNT = "trace_count"
    LATENCY = "latency"
    COST = "cost"


_SORTED_BY: Any = {
    SessionSortKey.RECENT: func.max(col(Trace.started_at)),
    SessionSortKey.TRACE_COUNT: func.count(),
    SessionSortKey.LATENCY: func.sum(col(Trace.latency_ms)),
    SessionSortKey.COST: func.sum(col(Trace.total_cost)),
}


async def page_of_ids(
    db: Reader,
    project_id: ProjectId,
    filters: SessionListFilters,
    page: Page,
    order: tuple[SessionSortKey, bool],
) -> tuple[Sequence[str], int]:
    """`order`: the sort key, and whether the largest comes first."""
    grouped = predicates.session_ids(filters, project_id)
    total = await db.totals.count(db, select(func.count()).select_from(grouped.subquery()))
    sort_by, descending = order
    query = (
        _by_last_trace(project_id, filters, descending)
        # With few matches, grouping is cheaper than skipping the rest.
        if sort_by is SessionSortKey.RECENT and total >= totals.LARGE_TOTAL
        else _by_sum(grouped, sort_by, descending)
    )
    rows = await db.scalars(paging.on_page(query, page))
    return [session_id for session_id in rows if session_id is not None], total


async def newest_matching(
    db: Reader, project_id: ProjectId, filters: SessionFilters, *, limit: int
) -> tuple[list[str], int]:
    """The sessions that a run would judge, by their newest trace, newest first, and the total."""
    grouped = predicates.session_ids(filters, project_id)
    total = await db.totals.count(db, select(func.count()).select_from(grouped.subquery()))
    rows = await db.scalars(_by_sum(grouped, SessionSortKey.RECENT, True).limit(limit))
    return [session_id for session_id in rows if session_id is not None], total


def _by_sum(grouped: Select[Any], sort_by: SessionSortKey, descending: bool) -> Select[Any]:
    by: ColumnElement[Any] = _SORTED_BY[sort_by]
    tie = col(Trace.session_id)
    if descending:
        return grouped.order_by(by.desc().nulls_last(), tie.desc())
    return grouped.order_by(by.asc().nulls_last(), tie.asc())


def _by_last_trace(
    project_id: ProjectId, filters: SessionListFilters, descending: bool
) -> Select[Any]:
    """Walks the traces in the order of an index and keeps the last trace of each session.

    The walk ends with the page.
    """
    later = aliased(Trace)
    started_at, trace_id = col(Trace.started_at), col(Trace.id)
    is_followed = exists().where(
        col(later.project_id) == project_id,
        col(later.session_id) == col(Trace.session_id),
        col(later.started_at) >= started_at,
        (col(later.started_at) > started_at) | (col(later.id) > trace_id),
    )
    tie = col(Trace.session_id)
    places = (started_at.desc(), tie.desc()) if descending else (started_at.asc(), tie.asc())
    found = predicates.sessions_looked_up(filters, project_id)
    return select(tie).where(*found, ~is_followed).order_by(*places)
