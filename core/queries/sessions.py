"""Sessions: the traces that share a session id. There is no row of their own."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, Select, Uuid, delete, func, literal, select, tuple_
from sqlmodel import col

from core.database import Reader, Writer
from core.dialect import UtcDateTime
from core.errors import NotFound
from core.ids import ProjectId, TargetType
from core.paging import Page
from core.queries import session_order, traces
from core.queries.session_order import SortKey
from core.session_filters import SessionFilters, SessionListFilters, errors
from core.tables import Score, Trace, TraceTag

_IDS_A_STATEMENT = 5_000


@dataclass(frozen=True, slots=True)
class Stored:
    """A session's sums, who used it last, and its tags in order."""

    row: Row[Any]
    user_id: str | None
    tags: list[str]


@dataclass(frozen=True, slots=True)
class Head:
    """What judging a session needs to know of a trace before it reads it."""

    id: UUID
    started_at: datetime
    updated_at: datetime


def matching_ids(project_id: ProjectId, filters: SessionFilters) -> Select[str | None]:
    """In no particular order."""
    return (
        select(col(Trace.session_id))
        .where(*filters.where(project_id))
        .group_by(col(Trace.session_id))
        .having(*filters.having())
    )


async def any_match(db: Reader, project_id: ProjectId, filters: SessionFilters) -> bool:
    return (await db.execute(matching_ids(project_id, filters).limit(1))).first() is not None


async def unknown_ids(db: Reader, project_id: ProjectId, ids: Sequence[str]) -> list[str]:
    """Those without a trace, in the order given."""
    known: set[str | None] = set()
    for start in range(0, len(ids), _IDS_A_STATEMENT):
        found = await db.scalars(
            select(col(Trace.session_id))
            .distinct()
            .where(
                col(Trace.project_id) == project_id,
                col(Trace.session_id).in_(ids[start : start + _IDS_A_STATEMENT]),
            )
        )
        known.update(found)
    return [id for id in ids if id not in known]


async def heads(
    db: Reader, project_id: ProjectId, session_id: str, *, after: Head | None, limit: int
) -> list[Head]:
    """The session's traces, oldest first, from behind the one given."""
    place = (col(Trace.started_at), col(Trace.id))
    query = select(col(Trace.id), *place[:1], col(Trace.updated_at)).where(
        col(Trace.project_id) == project_id, col(Trace.session_id) == session_id
    )
    if after is not None:
        last = tuple_(literal(after.started_at, UtcDateTime), literal(after.id, Uuid))
        query = query.where(tuple_(*place) > last)
    rows = await db.execute(query.order_by(*place).limit(limit))
    return [Head(*row) for row in rows]


_SUMS: Any = (
    col(Trace.session_id),
    func.count().label("trace_count"),
    func.min(col(Trace.started_at)).label("first_trace_at"),
    func.max(col(Trace.started_at)).label("last_trace_at"),
    func.sum(col(Trace.latency_ms)).label("total_latency_ms"),
    errors().label("error_count"),
    func.sum(col(Trace.span_count)).label("total_span_count"),
    func.sum(col(Trace.total_tokens)).label("total_tokens"),
    func.sum(col(Trace.total_cost)).label("total_cost"),
)


async def page(
    db: Reader,
    project_id: ProjectId,
    filters: SessionListFilters,
    page: Page,
    order: tuple[SortKey, bool],
) -> tuple[list[Stored], int]:
    """In `order`, and how many there are in all. Only those on the page are summed up."""
    ids, total = await session_order.page_of_ids(db, project_id, filters, page, order)
    rows = await db.execute(
        select(*_SUMS)
        .where(col(Trace.project_id) == project_id, col(Trace.session_id).in_(ids))
        .group_by(col(Trace.session_id))
    )
    sums = {row.session_id: row for row in rows}
    return await _completed(db, project_id, [sums[id] for id in ids]), total


async def get(
    db: Reader, project_id: ProjectId, session_id: str, *, limit: int
) -> tuple[Stored, list[traces.Stored]]:
    """With its `limit` oldest traces, oldest first. Raises NotFound."""
    found = await db.execute(
        select(*_SUMS).where(*_of(project_id, session_id)).group_by(col(Trace.session_id))
    )
    row = found.first()
    if row is None:
        raise NotFound("session", session_id)
    [stored] = await _completed(db, project_id, [row])
    return stored, await traces.of_session(db, project_id, session_id, limit=limit)


async def remove(db: Writer, project_id: ProjectId, session_id: str) -> int:
    """The session's traces with their spans, tags and scores, and its own scores.

    Answers how many traces there were. Raises NotFound.
    """
    ids = list(await db.scalars(select(col(Trace.id)).where(*_of(project_id, session_id))))
    if not ids:
        raise NotFound("session", session_id)
    await _remove_scores(db, project_id, TargetType.SESSION, [session_id])
    for start in range(0, len(ids), _IDS_A_STATEMENT):
        some = ids[start : start + _IDS_A_STATEMENT]
        await _remove_scores(db, project_id, TargetType.TRACE, [str(id) for id in some])
        await db.execute(
            delete(Trace).where(col(Trace.project_id) == project_id, col(Trace.id).in_(some))
        )
    return len(ids)


async def spans_of_time(
    db: Reader,
    project_id: ProjectId,
    *,
    started_after: datetime | None,
    started_before: datetime | None,
) -> Iterator[tuple[datetime, float, int]]:
    """When each session began, how many milliseconds it took and how many traces it has.

    Of a session that reaches over the edge of the period, the traces within it count.
    """
    within = [col(Trace.project_id) == project_id, col(Trace.session_id).is_not(None)]
    if started_after is not None:
        within.append(col(Trace.started_at) >= started_after)
    if started_before is not None:
        within.append(col(Trace.started_at) < started_before)
    began = func.min(col(Trace.started_at))
    ended = func.max(func.coalesce(col(Trace.ended_at), col(Trace.started_at)))
    rows = await db.execute(
        select(began, ended, func.count()).where(*within).group_by(col(Trace.session_id))
    )
    return (
        (first, max(0.0, (last - first).total_seconds() * 1000), count)
        for first, last, count in rows
    )


def _of(project_id: ProjectId, session_id: str) -> tuple[ColumnElement[bool], ...]:
    return (col(Trace.project_id) == project_id, col(Trace.session_id) == session_id)


async def _remove_scores(
    db: Writer, project_id: ProjectId, target_type: TargetType, target_ids: Sequence[str]
) -> None:
    await db.execute(
        delete(Score).where(
            col(Score.project_id) == project_id,
            col(Score.target_type) == target_type,
            col(Score.target_id).in_(target_ids),
        )
    )


async def _completed(db: Reader, project_id: ProjectId, rows: Sequence[Row[Any]]) -> list[Stored]:
    ids = [row.session_id for row in rows]
    mine = (col(Trace.project_id) == project_id, col(Trace.session_id).in_(ids))
    seen = func.max(col(Trace.started_at))
    # The last one named stays in the dict: whoever used the session last.
    users = await db.execute(
        select(col(Trace.session_id), col(Trace.user_id))
        .where(*mine, col(Trace.user_id).is_not(None))
        .group_by(col(Trace.session_id), col(Trace.user_id))
        .order_by(seen, col(Trace.user_id))
    )
    user_of = {row.session_id: row.user_id for row in users}
    found = await db.execute(
        select(col(Trace.session_id), col(TraceTag.tag))
        .distinct()
        .join(
            TraceTag,
            (col(TraceTag.project_id) == col(Trace.project_id))
            & (col(TraceTag.trace_id) == col(Trace.id)),
            # Or SQLite may begin with the tags, of which there are a project's.
            isouter=True,
        )
        .where(*mine)
        .order_by(col(Trace.session_id), col(TraceTag.tag))
    )
    tags: dict[str | None, list[str]] = {}
    for session, tag in found:
        if tag is not None:
            tags.setdefault(session, []).append(tag)
    return [Stored(row, user_of.get(row.session_id), tags.get(row.session_id, [])) for row in rows]
