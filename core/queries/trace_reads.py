"""Reads traces. `core.queries.trace_writes` stores them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, Select, func, select
from sqlmodel import col

from core.db import paging, predicates, sql_functions, totals
from core.db.database import Reader
from core.db.deferred_json import DeferredJson
from core.db.tables import Span, Trace, TraceTag, metadata
from core.errors import NotFound
from core.filters import TraceFilters, TraceListFilters
from core.ids import ProjectId

_TRACE = metadata.tables["trace"]
_SPAN = metadata.tables["span"]
_TRACE_ROWS = DeferredJson(list(_TRACE.columns))
_SPAN_ROWS = DeferredJson(list(_SPAN.columns))
# Reading a column after the content would walk over the overflow pages of the content.
_CONTENT_AND_AFTER = (
    *("metadata", "input", "output", "size_bytes"),
    *("top_span_id", "input_span_id", "output_span_id"),
)
_HEAD = [column for column in _TRACE.columns if column.name not in _CONTENT_AND_AFTER]


class TraceSortKey(StrEnum):
    STARTED_AT = "started_at"
    ENDED_AT = "ended_at"
    NAME = "name"
    LATENCY = "latency"
    STATUS = "status"


@dataclass(frozen=True, slots=True)
class Listing(paging.Page):
    """A page of a list, and its order."""

    sort_by: TraceSortKey = TraceSortKey.STARTED_AT
    descending: bool = True

    def order(self) -> list[ColumnElement[Any]]:
        column = {
            TraceSortKey.STARTED_AT: col(Trace.started_at),
            TraceSortKey.ENDED_AT: col(Trace.ended_at),
            TraceSortKey.NAME: col(Trace.name),
            TraceSortKey.LATENCY: col(Trace.latency_ms),
            TraceSortKey.STATUS: col(Trace.status),
        }[self.sort_by]
        first: ColumnElement[Any] = column.desc() if self.descending else column.asc()
        # Databases order nulls differently. The clause prevents the use of the index, so only
        # columns with nulls get it.
        if self.sort_by in (TraceSortKey.ENDED_AT, TraceSortKey.LATENCY):
            first = first.nulls_last()
        return [first, col(Trace.id).desc() if self.descending else col(Trace.id).asc()]


@dataclass(frozen=True, slots=True)
class StoredTrace:
    """A trace's row, its tags in order, and, if requested, its spans ordered by start."""

    row: Any
    tags: list[str]
    spans: Sequence[Any] = ()


def matching_ids(project_id: ProjectId, filters: TraceFilters) -> Select[UUID]:
    """Oldest first; ties are broken by id."""
    return (
        select(col(Trace.id))
        .where(*predicates.traces_where(filters, project_id))
        .order_by(col(Trace.started_at), col(Trace.id))
    )


async def any_match(db: Reader, project_id: ProjectId, filters: TraceFilters) -> bool:
    rows = await db.execute(matching_ids(project_id, filters).order_by(None).limit(1))
    return rows.first() is not None


async def unknown_ids(db: Reader, project_id: ProjectId, ids: Sequence[UUID]) -> list[UUID]:
    """The ids that no trace of the project has, in the given order."""
    known: set[UUID] = set()
    for chunk in paging.chunks(ids):
        known.update(
            await db.scalars(
                select(col(Trace.id)).where(
                    col(Trace.project_id) == project_id, col(Trace.id).in_(chunk)
                )
            )
        )
    return [trace_id for trace_id in ids if trace_id not in known]


async def page(
    db: Reader, project_id: ProjectId, filters: TraceListFilters, listing: Listing
) -> tuple[list[StoredTrace], int]:
    """Without content: `metadata`, `input` and `output` stay unread."""
    total = await db.totals.count(db, _count(project_id, filters))
    rows = await db.execute(_page(project_id, filters, listing, total))
    heads = rows.all()
    tags = await _tags(db, project_id, [row.id for row in heads])
    return [StoredTrace(row, tags.get(row.id, [])) for row in heads], total


async def count(db: Reader, project_id: ProjectId, filters: TraceListFilters) -> int:
    return await db.totals.count(db, _count(project_id, filters))


async def newest(db: Reader, project_id: ProjectId) -> Row[UUID, datetime] | None:
    """Id and start of the trace that started last; None in a project without traces."""
    rows = await db.execute(
        select(col(Trace.id), col(Trace.started_at))
        .where(col(Trace.project_id) == project_id)
        .order_by(col(Trace.started_at).desc())
        .limit(1)
    )
    return rows.one_or_none()


def _count(project_id: ProjectId, filters: TraceListFilters) -> Select[Any]:
    if not predicates.needs_only_tags(filters):
        found = predicates.traces_where(filters, project_id)
        return select(func.count()).select_from(Trace).where(*found)
    # Counts rows of the tag table only, where a trace may occur once per tag.
    counted = (
        func.count() if _is_one_tag(filters) else func.count(col(TraceTag.trace_id).distinct())
    )
    return select(counted).select_from(TraceTag).where(*predicates.tags_where(filters, project_id))


def _page(
    project_id: ProjectId, filters: TraceListFilters, listing: Listing, total: int
) -> Select[Any]:
    if listing.sort_by is TraceSortKey.STARTED_AT:
        in_order = _by_start(project_id, filters, listing, total)
        return paging.on_page(in_order, listing)
    # Without an index in this order the database sorts every row, so it sorts ids only.
    found = predicates.traces_where(filters, project_id)
    ids = select(col(Trace.id)).where(*found).order_by(*listing.order())
    on_page = col(Trace.id).in_(paging.on_page(ids, listing))
    return (
        select(*_HEAD)
        .where(col(Trace.project_id) == project_id, on_page)
        .order_by(*listing.order())
    )


def _by_start(
    project_id: ProjectId, filters: TraceListFilters, listing: Listing, total: int
) -> Select[Any]:
    if _is_one_tag(filters) and not predicates.is_selective(filters):
        return _along_tag(project_id, filters, descending=listing.descending)
    # With few matches, finding and sorting them is cheaper than skipping the rest.
    many = total >= totals.LARGE_TOTAL
    where = predicates.traces_looked_up if many else predicates.traces_where
    return select(*_HEAD).where(*where(filters, project_id)).order_by(*listing.order())


def _is_one_tag(filters: TraceListFilters) -> bool:
    return len(predicates.tags_of(filters)) == 1


def _along_tag(
    project_id: ProjectId, filters: TraceListFilters, *, descending: bool
) -> Select[Any]:
    """Reads the traces of one tag from the index of tags, which has them ordered by start."""
    places = (col(TraceTag.started_at), col(TraceTag.trace_id))
    return (
        select(*_HEAD)
        .join(TraceTag, (col(TraceTag.project_id) == project_id) & (places[1] == col(Trace.id)))
        .where(
            *predicates.untagged(filters, project_id), *predicates.tags_where(filters, project_id)
        )
        .order_by(*(place.desc() if descending else place.asc() for place in places))
    )


async def heads_of_session(
    db: Reader, project_id: ProjectId, session_id: str, *, limit: int
) -> list[StoredTrace]:
    """Oldest first, without content."""
    rows = await db.execute(
        select(*_HEAD)
        .where(col(Trace.project_id) == project_id, col(Trace.session_id) == session_id)
        .order_by(sql_functions.unindexed(col(Trace.started_at)), col(Trace.id))
        .limit(limit)
    )
    heads = rows.all()
    tags = await _tags(db, project_id, [row.id for row in heads])
    return [StoredTrace(row, tags.get(row.id, [])) for row in heads]


async def ids_of_session(
    db: Reader, project_id: ProjectId, session_id: str, page: paging.Page
) -> Sequence[UUID]:
    """Oldest first."""
    query = (
        select(col(Trace.id))
        .where(col(Trace.project_id) == project_id, col(Trace.session_id) == session_id)
        .order_by(col(Trace.started_at), col(Trace.id))
    )
    return (await db.scalars(paging.on_page(query, page))).all()


async def whole(db: Reader, project_id: ProjectId, ids: Sequence[UUID]) -> list[StoredTrace]:
    """The existing traces, with content and spans, in the order of `ids`."""
    result = await db.execute(
        select(*_TRACE_ROWS.columns).where(
            col(Trace.project_id) == project_id, col(Trace.id).in_(ids)
        )
    )
    rows = {row.id: row for row in await _TRACE_ROWS.decode_apart(result.all())}
    tags = await _tags(db, project_id, ids)
    spans: dict[UUID, list[Any]] = {}
    for span in await _spans(db, project_id, ids):
        spans.setdefault(span.trace_id, []).append(span)
    return [
        StoredTrace(rows[trace_id], tags.get(trace_id, []), spans.get(trace_id, []))
        for trace_id in ids
        if trace_id in rows
    ]


async def get(db: Reader, project_id: ProjectId, trace_id: UUID) -> StoredTrace:
    """Raises NotFound."""
    found = await whole(db, project_id, [trace_id])
    if not found:
        raise NotFound("trace", trace_id)
    return found[0]


async def _spans(db: Reader, project_id: ProjectId, trace_ids: Sequence[UUID]) -> list[Any]:
    rows = await db.execute(
        select(*_SPAN_ROWS.columns)
        .where(col(Span.project_id) == project_id, col(Span.trace_id).in_(trace_ids))
        .order_by(col(Span.started_at), col(Span.id))
    )
    return await _SPAN_ROWS.decode_apart(rows.all())


async def _tags(
    db: Reader, project_id: ProjectId, trace_ids: Sequence[UUID]
) -> dict[UUID, list[str]]:
    rows = await db.execute(
        select(col(TraceTag.trace_id), col(TraceTag.tag))
        .where(col(TraceTag.project_id) == project_id, col(TraceTag.trace_id).in_(trace_ids))
        .order_by(col(TraceTag.trace_id), col(TraceTag.tag))
    )
    tags: dict[UUID, list[str]] = {}
    for trace_id, tag in rows:
        tags.setdefault(trace_id, []).append(tag)
    return tags
