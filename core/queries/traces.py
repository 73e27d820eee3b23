"""Reading traces. How they are written is `core.queries.ingestion`."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, Select, func, select
from sqlmodel import col

from core.database import Reader
from core.errors import NotFound
from core.filters import TraceFilters, TraceListFilters
from core.ids import ProjectId
from core.queries import totals
from core.queries.ingestion import store, store_all
from core.tables import Span, Trace, TraceTag, metadata

__all__ = [
    "Listing",
    "SortKey",
    "Stored",
    "any_match",
    "get",
    "matching_ids",
    "of_session",
    "page",
    "store",
    "store_all",
    "unknown_ids",
]

_TRACE = metadata.tables["trace"]
_SPAN = metadata.tables["span"]
_HEAD = [column for column in _TRACE.columns if column.name not in ("metadata", "input", "output")]
_IDS_A_STATEMENT = 5000


class SortKey(StrEnum):
    STARTED_AT = "started_at"
    ENDED_AT = "ended_at"
    NAME = "name"
    LATENCY = "latency"
    STATUS = "status"


@dataclass(frozen=True, slots=True)
class Listing:
    """Which part of a list, in which order."""

    limit: int = 50
    offset: int = 0
    sort_by: SortKey = SortKey.STARTED_AT
    descending: bool = True

    def order(self) -> list[ColumnElement[Any]]:
        column = {
            SortKey.STARTED_AT: col(Trace.started_at),
            SortKey.ENDED_AT: col(Trace.ended_at),
            SortKey.NAME: col(Trace.name),
            SortKey.LATENCY: col(Trace.latency_ms),
            SortKey.STATUS: col(Trace.status),
        }[self.sort_by]
        first: ColumnElement[Any] = column.desc() if self.descending else column.asc()
        # Databases differ in where nulls go. Only where there can be any: it costs the index.
        if self.sort_by in (SortKey.ENDED_AT, SortKey.LATENCY):
            first = first.nulls_last()
        return [first, col(Trace.id).desc() if self.descending else col(Trace.id).asc()]


@dataclass(frozen=True, slots=True)
class Stored:
    """A trace's row, its tags in order, and its spans by start where they were asked for."""

    row: Row[Any]
    tags: list[str]
    spans: Sequence[Row[Any]] = ()


def matching_ids(project_id: ProjectId, filters: TraceFilters) -> Select[UUID]:
    """Oldest first, in the same order each time."""
    return (
        select(col(Trace.id))
        .where(*filters.where(project_id))
        .order_by(col(Trace.started_at), col(Trace.id))
    )


async def any_match(db: Reader, project_id: ProjectId, filters: TraceFilters) -> bool:
    found = await db.execute(matching_ids(project_id, filters).order_by(None).limit(1))
    return found.first() is not None


async def unknown_ids(db: Reader, project_id: ProjectId, ids: Sequence[UUID]) -> list[UUID]:
    """Those the project has no trace for, in the order given."""
    known: set[UUID] = set()
    for start in range(0, len(ids), _IDS_A_STATEMENT):
        found = await db.scalars(
            select(col(Trace.id)).where(
                col(Trace.project_id) == project_id,
                col(Trace.id).in_(ids[start : start + _IDS_A_STATEMENT]),
            )
        )
        known.update(found)
    return [id for id in ids if id not in known]


async def page(
    db: Reader, project_id: ProjectId, filters: TraceListFilters, listing: Listing
) -> tuple[list[Stored], int]:
    """Without content: `metadata`, `input` and `output` stay unread."""
    total = await totals.count(db, _count(project_id, filters))
    rows = await db.execute(_page(project_id, filters, listing, total))
    heads = rows.all()
    tags = await _tags(db, project_id, [row.id for row in heads])
    return [Stored(row, tags.get(row.id, [])) for row in heads], total


def _count(project_id: ProjectId, filters: TraceListFilters) -> Select[Any]:
    if not filters.only_tags:
        return select(func.count()).select_from(Trace).where(*filters.where(project_id))
    # No trace is looked at. One may carry several of the tags.
    counted = (
        func.count() if _is_one_tag(filters) else func.count(col(TraceTag.trace_id).distinct())
    )
    return select(counted).select_from(TraceTag).where(*filters.tagged(project_id))


def _page(
    project_id: ProjectId, filters: TraceListFilters, listing: Listing, total: int
) -> Select[Any]:
    if listing.sort_by is SortKey.STARTED_AT:
        found = _by_start(project_id, filters, listing, total)
        return found.limit(listing.limit).offset(listing.offset)
    # What no index has in order is sorted, and a deep page keeps all before it: only ids, then.
    ids = select(col(Trace.id)).where(*filters.where(project_id)).order_by(*listing.order())
    on_page = col(Trace.id).in_(ids.limit(listing.limit).offset(listing.offset))
    return (
        select(*_HEAD)
        .where(col(Trace.project_id) == project_id, on_page)
        .order_by(*listing.order())
    )


def _by_start(
    project_id: ProjectId, filters: TraceListFilters, listing: Listing, total: int
) -> Select[Any]:
    if _is_one_tag(filters) and filters.session_id is None and filters.user_id is None:
        return _along_tag(project_id, filters, descending=listing.descending)
    # Where few match, to find and sort them is less than to walk past the others.
    large = total >= totals.LARGE
    where = filters.looked_up(project_id) if large else filters.where(project_id)
    return select(*_HEAD).where(*where).order_by(*listing.order())


def _is_one_tag(filters: TraceListFilters) -> bool:
    return len(filters.tags or []) == 1


def _along_tag(
    project_id: ProjectId, filters: TraceListFilters, *, descending: bool
) -> Select[Any]:
    """The index of tags holds the traces of one in the order of their start."""
    places = (col(TraceTag.started_at), col(TraceTag.trace_id))
    return (
        select(*_HEAD)
        .join(TraceTag, (col(TraceTag.project_id) == project_id) & (places[1] == col(Trace.id)))
        .where(*filters.untagged(project_id), *filters.tagged(project_id))
        .order_by(*(place.desc() if descending else place.asc() for place in places))
    )


async def of_session(
    db: Reader, project_id: ProjectId, session_id: str, *, limit: int
) -> list[Stored]:
    """Oldest first, without content."""
    rows = await db.execute(
        select(*_HEAD)
        .where(col(Trace.project_id) == project_id, col(Trace.session_id) == session_id)
        .order_by(col(Trace.started_at), col(Trace.id))
        .limit(limit)
    )
    heads = rows.all()
    tags = await _tags(db, project_id, [row.id for row in heads])
    return [Stored(row, tags.get(row.id, [])) for row in heads]


async def get(db: Reader, project_id: ProjectId, trace_id: UUID) -> Stored:
    """Raises NotFound."""
    row = await _row(db, project_id, trace_id)
    if row is None:
        raise NotFound("trace", trace_id)
    tags = await _tags(db, project_id, [trace_id])
    return Stored(row, tags.get(trace_id, []), await _spans(db, project_id, trace_id))


async def _row(db: Reader, project_id: ProjectId, trace_id: UUID) -> Row[Any] | None:
    found = await db.execute(
        select(*_TRACE.columns).where(
            col(Trace.project_id) == project_id, col(Trace.id) == trace_id
        )
    )
    return found.first()


async def _spans(db: Reader, project_id: ProjectId, trace_id: UUID) -> Sequence[Row[Any]]:
    found = await db.execute(
        select(*_SPAN.columns)
        .where(col(Span.project_id) == project_id, col(Span.trace_id) == trace_id)
        .order_by(col(Span.started_at), col(Span.id))
    )
    return found.all()


async def _tags(
    db: Reader, project_id: ProjectId, trace_ids: Sequence[UUID]
) -> dict[UUID, list[str]]:
    found = await db.execute(
        select(col(TraceTag.trace_id), col(TraceTag.tag))
        .where(col(TraceTag.project_id) == project_id, col(TraceTag.trace_id).in_(trace_ids))
        .order_by(col(TraceTag.trace_id), col(TraceTag.tag))
    )
    tags: dict[UUID, list[str]] = {}
    for trace_id, tag in found:
        tags.setdefault(trace_id, []).append(tag)
    return tags
