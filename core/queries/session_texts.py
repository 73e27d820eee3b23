"""Texts that the coherence signal of a session compares."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from pydantic import JsonValue
from sqlalchemy import Text, cast, func, or_, select
from sqlmodel import col

from core.db.database import Reader
from core.db.tables import Trace
from core.ids import ProjectId

MAX_TEXT: Final = 20_000
"""Maximum characters of JSON.

A longer input or output is hardly a question or an answer, so it is omitted.
"""

_MAX_LOOKED_AT: Final = 500


async def unrelated_inputs(
    db: Reader, project_id: ProjectId, session_id: str, *, limit: int
) -> list[JsonValue]:
    """Inputs of the project's newest traces outside the session, newest first."""
    newest = (
        select(col(Trace.input).label("input"), col(Trace.session_id).label("session_id"))
        .where(col(Trace.project_id) == project_id)
        .order_by(col(Trace.started_at).desc(), col(Trace.id).desc())
        .limit(_MAX_LOOKED_AT)
        .subquery()
    )
    rows = await db.scalars(
        select(newest.c.input)
        .where(
            or_(newest.c.session_id.is_(None), newest.c.session_id != session_id),
            newest.c.input.is_not(None),
            func.length(cast(newest.c.input, Text)) <= MAX_TEXT,
        )
        .limit(limit)
    )
    return list(rows)


async def outputs(
    db: Reader, project_id: ProjectId, trace_ids: Sequence[UUID]
) -> dict[UUID, JsonValue]:
    """Outputs by trace. Omits traces without an output or with a very long output."""
    rows = await db.execute(
        select(col(Trace.id), col(Trace.output)).where(
            col(Trace.project_id) == project_id,
            col(Trace.id).in_(trace_ids),
            col(Trace.output).is_not(None),
            func.length(cast(col(Trace.output), Text)) <= MAX_TEXT,
        )
    )
    return {row.id: row.output for row in rows}
