"""Sessions: the traces that share a session id. Sessions have no rows of their own."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, Uuid, func, literal, select, tuple_
from sqlmodel import col

from core.db import paging, predicates, sql_functions
from core.db.column_types import UtcDateTime
from core.db.database import Reader, Writer
from core.db.paging import Page
from core.db.tables import Trace, TraceTag
from core.errors import NotFound
from core.filters import SessionFilters, SessionListFilters
from core.ids import ProjectId, TargetType
from core.queries import session_listing, trace_edits
from core.queries.session_listing import SessionSortKey


@dataclass(frozen=True, slots=True)
class StoredSession:
    """A session with its sums, its last user, and its tags in order."""

    row: Row[Any]
    user_id: str | None
    tags: list[str]


@dataclass(frozen=True, slots=True)
class SessionHead:
    """The fields of a trace that the judging of a session needs before it loads the trace."""

    id: UUID
    started_at: datetime
    updated_at: datetime


async def any_match(db: Reader, project_id: ProjectId, filters: SessionFilters) -> bool:
    rows = await db.execute(predicates.session_ids(filters, project_id).limit(1))
    return rows.first() is not None


async def unknown_ids(db: Reader, project_id: ProjectId, ids: Sequence[str]) -> list[str]:
    """The ids without a trace, in the given order."""
    known: set[str | None] = set()
    for chunk in paging.chunks(ids):
        known.update(
            await db.scalars(
                select(col(Trace.session_id))
                .distinct()
                .where(col(Trace.project_id) == project_id, col(Trace.session_id).in_(chunk))
            )
        )
    return [session_id for session_id in ids if session_id not in known]


async def heads(
    db: Reader, project_id: ProjectId, session_id: str, *, after: SessionHead | None, limit: int
) -> list[SessionHead]:
    """The session's traces, oldest first, starting after `after`."""
    place = (col(Trace.started_at), col(Trace.id))
    query = select(col(Trace.id), *place[:1], col(Trace.updated_at)).where(
        col(Trace.project_id) == project_id, col(Trace.session_id) == session_id
    )
    if after is not None:
        last = tuple_(literal(after.started_at, UtcDateTime), literal(after.id, Uuid))
        query = query.where(tuple_(*place) > last)
    rows = await db.execute(query.order_by(*place).limit(limit))
    return [SessionHead(*row) for row in rows]


_SUMS: Any = (
    col(Trace.session_id),
    func.count().label("trace_count"),
    func.min(col(Trace.started_at)).label("first_trace_at"),
    func.max(col(Trace.ended_at)).label("last_trace_at"),
    func.sum(col(Trace.latency_ms)).label("total_latency_ms"),
    predicates.error_count().label("error_count"),
    func.sum(col(Trace.span_count)).label("total_span_count"),
    func.sum(col(Trace.total_tokens)).label("total_tokens"),
    func.sum(col(Trace.total_cost)).label("total_cost"),
)


async def page(
    db: Reader,
    project_id: ProjectId,
    filters: SessionListFilters,
    page: Page,
    order: tuple[SessionSortKey, bool],
) -> tuple[list[StoredSession], int]:
    """The sessions in `order`, and the total. Computes sums only for the sessions of the page."""
    ids, total = await session_listing.page_of_ids(db, project_id, filters, page, order)
    rows = await db.execute(
        select(*_SUMS)
        .where(col(Trace.project_id) == project_id, col(Trace.session_id).in_(ids))
        .group_by(col(Trace.session_id))
    )
    sums = {row.session_id: row for row in rows}
    return await _completed(db, project_id, [sums[session_id] for session_id in ids]), total


async def get(db: Reader, project_id: ProjectId, session_id: str) -> StoredSession:
    """Raises NotFound."""
    rows = await db.execute(
        select(*_SUMS).where(*_of(project_id, session_id)).group_by(col(Trace.session_id))
    )
    row = rows.first()
    if row is None:
        raise NotFound("session", session_id)
    [stored] = await _completed(db, project_id, [row])
    return stored


async def remove(db: Writer, project_id: ProjectId, session_id: str) -> int:
    """Deletes the session's scores, and its traces with their spans, tags and scores.

    Returns the number of deleted traces. Raises NotFound.
    """
    ids = list(await db.scalars(select(col(Trace.id)).where(*_of(project_id, session_id))))
    if not ids:
        raise NotFound("session", session_id)
    deleted = await trace_edits.remove(db, project_id, ids)
    await trace_edits.remove_scores(db, project_id, TargetType.SESSION, [session_id])
    return deleted


async def spans_of_time(
    db: Reader,
    project_id: ProjectId,
    *,
    started_after: datetime | None,
    started_before: datetime | None,
) -> Iterator[tuple[datetime, float, int]]:
    """Per session: its start, its duration in milliseconds, and its number of traces.

    Only traces within the period count.
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


async def _completed(
    db: Reader, project_id: ProjectId, rows: Sequence[Row[Any]]
) -> list[StoredSession]:
    ids = [row.session_id for row in rows]
    of_sessions = (col(Trace.project_id) == project_id, col(Trace.session_id).in_(ids))
    seen = func.max(col(Trace.started_at))
    # The dict keeps the last row per session, which has the user of the newest trace. A GROUP BY
    # over the user would make SQLite scan all traces of the project by user.
    user = sql_functions.unindexed(col(Trace.user_id))
    users = await db.execute(
        select(col(Trace.session_id), user.label("user_id"))
        .where(*of_sessions, user.is_not(None))
        .group_by(col(Trace.session_id), user)
        .order_by(seen, user)
    )
    user_of = {row.session_id: row.user_id for row in users}
    result = await db.execute(
        select(col(Trace.session_id), col(TraceTag.tag))
        .distinct()
        .join(
            TraceTag,
            (col(TraceTag.project_id) == col(Trace.project_id))
            & (col(TraceTag.trace_id) == col(Trace.id)),
            # Outer join: otherwise SQLite may scan every tag of the project.
            isouter=True,
        )
        .where(*of_sessions)
        .order_by(col(Trace.session_id), col(TraceTag.tag))
    )
    tags: dict[str | None, list[str]] = {}
    for session, tag in result:
        if tag is not None:
            tags.setdefault(session, []).append(tag)
    return [
        StoredSession(row, user_of.get(row.session_id), tags.get(row.session_id, []))
        for row in rows
    ]
