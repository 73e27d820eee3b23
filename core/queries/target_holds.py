"""Protects targets against deletion until their new scores are committed."""

from collections.abc import Collection
from typing import Final
from uuid import UUID

from sqlalchemy import bindparam, select

from core.db.database import Writer
from core.db.tables import metadata

Target = tuple[UUID, str]
"""Project and id of a trace or session."""

_TRACE: Final = metadata.tables["trace"]


async def hold(
    db: Writer, *, traces: Collection[Target], sessions: Collection[Target] = ()
) -> set[Target]:
    """Holds the targets, and returns the targets that no longer exist.

    A deletion of a held target waits for the commit, and then also deletes the new scores. The lock
    of a session is on its first trace.
    """
    first = {session: await _first_trace(db, *session) for session in sorted(sessions)}
    keys = {*traces, *(found for found in first.values() if found)}
    held = await _hold_traces(db, keys) if keys else set()
    gone = {trace for trace in traces if trace not in held}
    gone |= {session for session, found in first.items() if found is None}
    # Their first trace was deleted meanwhile; other traces may exist.
    again = {session for session, found in first.items() if found and found not in held}
    return gone | await hold(db, traces=(), sessions=again) if again else gone


async def _hold_traces(db: Writer, traces: set[Target]) -> set[Target]:
    rows = await db.execute(
        _HELD,
        {
            "projects": sorted({project for project, _ in traces}),
            "ids": sorted(UUID(trace) for _, trace in traces),
        },
    )
    return {(project, str(trace)) for project, trace in rows}


async def _first_trace(db: Writer, project_id: UUID, session_id: str) -> Target | None:
    row = await db.scalar(_FIRST, {"project_id": project_id, "session_id": session_id})
    return None if row is None else (project_id, str(row))


_HELD: Final = (
    select(_TRACE.c.project_id, _TRACE.c.id)
    .where(
        _TRACE.c.project_id.in_(bindparam("projects", expanding=True)),
        _TRACE.c.id.in_(bindparam("ids", expanding=True)),
    )
    # Locks in the same order as deletions.
    .order_by(_TRACE.c.id)
    .with_for_update(read=True)
)

_FIRST: Final = (
    select(_TRACE.c.id)
    .where(
        _TRACE.c.project_id == bindparam("project_id"),
        _TRACE.c.session_id == bindparam("session_id"),
    )
    .order_by(_TRACE.c.started_at, _TRACE.c.id)
    .limit(1)
)
