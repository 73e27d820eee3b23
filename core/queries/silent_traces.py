"""New traces without any text to judge, by the tracer that sent them."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import select
from sqlmodel import col

from core.content import ContentState
from core.db.database import Reader
from core.db.tables import Project, Span, Trace

MAX_PROJECTS: Final = 100
MAX_TRACES: Final = 500
MAX_SILENT: Final = 100
SCOPE: Final = "otel.scope"
"""In the metadata of a span: the name of the tracer."""


@dataclass(frozen=True, slots=True)
class SilentTracer:
    """`silent` of the `looked_at` newest traces of the project carry no text.

    `scope` is empty for a tracer without a name.
    """

    project: str
    scope: str
    silent: int
    looked_at: int


async def find(db: Reader, *, since: datetime) -> list[SilentTracer]:
    """Looks at the newest `MAX_TRACES` traces of each project, through the index by arrival."""
    projects = await db.execute(
        select(col(Project.id), col(Project.name))
        .where(col(Project.deleted_at).is_(None))
        .order_by(col(Project.created_at).desc())
        .limit(MAX_PROJECTS)
    )
    found: list[SilentTracer] = []
    for project_id, name in projects.all():
        newest = await db.execute(
            select(col(Trace.id), col(Trace.content))
            .where(col(Trace.project_id) == project_id, col(Trace.ingested_at) >= since)
            .order_by(col(Trace.ingested_at).desc())
            .limit(MAX_TRACES)
        )
        rows = newest.all()
        silent = [trace_id for trace_id, content in rows if content is ContentState.NONE]
        scopes = await _scopes(db, project_id, silent[:MAX_SILENT])
        unnamed = len(silent) - scopes.total()
        counts = scopes + Counter({"": unnamed})
        found += [SilentTracer(name, scope, n, len(rows)) for scope, n in counts.most_common()]
    return found


async def _scopes(db: Reader, project_id: UUID, trace_ids: list[UUID]) -> Counter[str]:
    """The number of traces per tracer; a trace counts for the first tracer found in it."""
    spans = await db.execute(
        select(col(Span.trace_id), col(Span.meta)).where(
            col(Span.project_id) == project_id, col(Span.trace_id).in_(trace_ids)
        )
    )
    of_trace: dict[UUID, str] = {}
    for trace_id, meta in spans:
        if scope := meta.get(SCOPE):
            of_trace.setdefault(trace_id, str(scope))
    return Counter(of_trace.values())
