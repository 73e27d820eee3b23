"""What monitors watch, one entry for each target type."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from pydantic import BaseModel
from sqlalchemy import ColumnElement, select
from sqlmodel import col

from core.database import Reader
from core.filters import TraceFilters
from core.ids import ProjectId, TargetType
from core.queries import sessions
from core.session_filters import SessionFilters
from core.tables import EvalMonitor, Trace

SIGNAL_WEIGHTS: Final = "signal_weights"
"""Kept beside the filters of a session run; no filter itself."""


@dataclass(frozen=True, slots=True)
class Watched:
    """`traces`: predicates on `Trace` for the traces that the matching targets consist of."""

    filters: type[BaseModel]
    traces: Callable[[Any, ProjectId], list[ColumnElement[bool]]]


def _traces_of_sessions(
    filters: SessionFilters, project_id: ProjectId
) -> list[ColumnElement[bool]]:
    return [
        col(Trace.project_id) == project_id,
        col(Trace.session_id).in_(sessions.matching_ids(project_id, filters)),
    ]


WATCHED: Final[dict[TargetType, Watched]] = {
    TargetType.TRACE: Watched(TraceFilters, TraceFilters.where),
    TargetType.SESSION: Watched(SessionFilters, _traces_of_sessions),
}


async def any_match(db: Reader, monitor: EvalMonitor, *, since: datetime | None = None) -> bool:
    """Whether anything matches; with `since`, whether a trace of it arrived then or later."""
    kind = WATCHED[monitor.target_type]
    given = {key: value for key, value in monitor.filters.items() if key != SIGNAL_WEIGHTS}
    where = kind.traces(kind.filters.model_validate(given), ProjectId(monitor.project_id))
    if since is not None:
        where.append(col(Trace.ingested_at) >= since)
    found = await db.execute(select(col(Trace.id)).where(*where).limit(1))
    return found.first() is not None
