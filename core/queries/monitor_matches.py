"""Decides whether any target matches the filters of a monitor."""

from datetime import datetime
from typing import Final

from pydantic import ValidationError
from sqlalchemy import select
from sqlmodel import col

from core.db import predicates
from core.db.database import Reader
from core.db.tables import EvalMonitor, Trace
from core.errors import Invalid
from core.filters import Filters, SessionFilters, TraceFilters
from core.ids import ProjectId, TargetType
from core.queries.trace_settling import is_settled

FILTERS: Final[dict[TargetType, type[Filters]]] = {
    TargetType.TRACE: TraceFilters,
    TargetType.SESSION: SessionFilters,
}


def _traces(
    target_type: TargetType, filters: Filters, project_id: ProjectId
) -> predicates.Predicates:
    """Predicates on `Trace` that select the traces of matching targets."""
    if target_type is TargetType.TRACE:
        return predicates.traces_where(filters, project_id)
    return [
        col(Trace.project_id) == project_id,
        col(Trace.session_id).in_(predicates.session_ids(filters, project_id)),
    ]


def _filters_of(monitor: EvalMonitor) -> Filters:
    try:
        return FILTERS[monitor.target_type].model_validate(monitor.filters)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise Invalid(
            f"Filter {field!r} is no longer valid ({first['msg']}). Change the monitor."
        ) from None


async def any_match(db: Reader, monitor: EvalMonitor, *, since: datetime | None = None) -> bool:
    """Whether any target matches.

    With `since`, one of the target's traces must have arrived at that time or later. Traces that
    are not settled do not count.

    Raises Invalid for filters that this release does not know.
    """
    filters = _filters_of(monitor)
    where = _traces(monitor.target_type, filters, ProjectId(monitor.project_id))
    where.append(is_settled())
    if since is not None:
        where.append(col(Trace.ingested_at) >= since)
    rows = await db.execute(select(col(Trace.id)).where(*where).limit(1))
    return rows.first() is not None
