"""Which sessions a list shows: a page of ids in order, and how many there are in all."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Select, exists, func, select
from sqlalchemy.orm import aliased
from sqlmodel import col

from core.database import Reader
from core.ids import ProjectId
from core.paging import Page
from core.queries import totals
from core.session_filters import SessionListFilters
from core.tables import Trace


class SortKey(StrEnum):
    RECENT = "recent"
    TRACE_COUNT = "trace_count"
    LATENCY = "latency"
    COST = "cost"


_SORTED_BY: Any = {
    SortKey.RECENT: func.max(col(Trace.started_at)),
    SortKey.TRACE_COUNT: func.count(),
    SortKey.LATENCY: func.sum(col(Trace.latency_ms)),
    SortKey.COST: func.sum(col(Trace.total_cost)),
}


async def page_of_ids(
    db: Reader,
    project_id: ProjectId,
    filters: SessionListFilters,
    page: Page,
    order: tuple[SortKey, bool],
) -> tuple[Sequence[str], int]:
    """`order`: by what, and whether the largest comes first."""
    grouped = (
        select(col(Trace.session_id))
        .where(*filters.where(project_id))
        .group_by(col(Trace.session_id))
        .having(*filters.having())
    )
    total = await totals.count(db, select(func.count()).select_from(grouped.subquery()))
    sort_by, descending = order
    query = (
        _by_last_trace(project_id, filters, descending)
        # Where few match, to group them is less than to walk past the others.
        if sort_by is SortKey.RECENT and total >= totals.LARGE
        else _by_sum(grouped, sort_by, descending)
    )
    found = await db.scalars(query.limit(page.limit).offset(page.offset))
    return [id for id in found if id is not None], total


def _by_sum(grouped: Select[Any], sort_by: SortKey, descending: bool) -> Select[Any]:
    by: ColumnElement[Any] = _SORTED_BY[sort_by]
    tie = col(Trace.session_id)
    if descending:
        return grouped.order_by(by.desc().nulls_last(), tie.desc())
    return grouped.order_by(by.asc().nulls_last(), tie.asc())


def _by_last_trace(
    project_id: ProjectId, filters: SessionListFilters, descending: bool
) -> Select[Any]:
    """Traces in the order of an index, each looked up whether it is its session's last.

    A page is found without a look at all the sessions behind it.
    """
    later = aliased(Trace)
    started_at, id = col(Trace.started_at), col(Trace.id)
    is_followed = exists().where(
        col(later.project_id) == project_id,
        col(later.session_id) == col(Trace.session_id),
        col(later.started_at) >= started_at,
        (col(later.started_at) > started_at) | (col(later.id) > id),
    )
    tie = col(Trace.session_id)
    places = (started_at.desc(), tie.desc()) if descending else (started_at.asc(), tie.asc())
    return select(tie).where(*filters.looked_up(project_id), ~is_followed).order_by(*places)
