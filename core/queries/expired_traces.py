"""Traces past their age, without those that unfinished runs need."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import func, literal, or_, select, tuple_

from core.db import paging
from core.db.column_types import UtcDateTime
from core.db.database import Reader, Writer
from core.db.tables import metadata
from core.ids import ProjectId, TargetType
from core.queries import trace_edits

_TRACE: Final = metadata.tables["trace"]
_SCORE: Final = metadata.tables["score"]
_RUN: Final = metadata.tables["eval_run"]
_TARGET: Final = metadata.tables["eval_run_target"]

_PAGE_BYTES: Final = 4096
"""Content of this size costs about as much to delete as a row."""


@dataclass(frozen=True, slots=True)
class ExpiredTrace:
    """`rows`: about the number of rows that go with it, its content included."""

    id: UUID
    ingested_at: datetime
    session_id: str | None
    rows: int


@dataclass(frozen=True, slots=True)
class UnfinishedRun:
    """`frozen`: its targets are known."""

    id: UUID
    target_type: TargetType
    frozen: bool


Place = tuple[datetime, UUID]
"""The position of a trace in the order of arrival."""


async def page(
    db: Reader, project_id: ProjectId, before: datetime, *, after: Place | None, limit: int
) -> list[ExpiredTrace]:
    """Traces that arrived before this moment, oldest first."""
    place = (_TRACE.c.ingested_at, _TRACE.c.id)
    query = select(
        *(_TRACE.c.id, _TRACE.c.ingested_at, _TRACE.c.session_id),
        (1 + _TRACE.c.span_count + _TRACE.c.size_bytes / _PAGE_BYTES).label("rows"),
    ).where(_TRACE.c.project_id == project_id, _TRACE.c.ingested_at < before)
    if after is not None:
        # The first condition bounds the search in the index.
        query = query.where(
            _TRACE.c.ingested_at >= after[0],
            tuple_(*place) > tuple_(literal(after[0], UtcDateTime), literal(after[1], _ID)),
        )
    found = (await db.execute(query.order_by(*place).limit(limit))).all()
    scores = await _scores_of(db, project_id, [str(row.id) for row in found])
    return [
        ExpiredTrace(
            row.id, row.ingested_at, row.session_id, int(row.rows) + scores.get(str(row.id), 0)
        )
        for row in found
    ]


_ID: Final = _TRACE.c.id.type


async def _scores_of(db: Reader, project_id: ProjectId, traces: Sequence[str]) -> dict[str, int]:
    """The number of scores of each trace that has any."""
    counted: dict[str, int] = {}
    for chunk in paging.chunks(traces):
        rows = await db.execute(
            select(_SCORE.c.target_id, func.count())
            .where(
                _SCORE.c.project_id == project_id,
                _SCORE.c.target_type == TargetType.TRACE,
                _SCORE.c.target_id.in_(chunk),
            )
            .group_by(_SCORE.c.target_id)
        )
        counted.update((target, count) for target, count in rows)
    return counted


async def unfinished(
    db: Reader, project_id: ProjectId, *, frozen_since: datetime | None = None
) -> list[UnfinishedRun]:
    """Open and paused runs, and waiting runs with frozen targets.

    `frozen_since`: without the runs whose targets were frozen before. A run that is being resolved
    is always among them.
    """
    query = select(_RUN.c.id, _RUN.c.target_type, _RUN.c.resolved_at.is_not(None)).where(
        _RUN.c.project_id == project_id,
        _RUN.c.completed_at.is_(None),
        # A waiting run that has not drawn its sample draws it from the traces that are left.
        or_(_RUN.c.admitted_at.is_not(None), _RUN.c.total_targets > 0),
    )
    if frozen_since is not None:
        query = query.where(or_(_RUN.c.resolved_at.is_(None), _RUN.c.resolved_at >= frozen_since))
    return [UnfinishedRun(*row) for row in await db.execute(query)]


async def needed(
    db: Reader, runs: Collection[UnfinishedRun], traces: Sequence[ExpiredTrace]
) -> set[UUID]:
    """The traces that these runs judge, alone or as part of a session."""
    sessions = {trace.session_id for trace in traces if trace.session_id is not None}
    judged = await _targets(db, runs, TargetType.TRACE, {str(trace.id) for trace in traces})
    whole = await _targets(db, runs, TargetType.SESSION, sessions)
    return {trace.id for trace in traces if str(trace.id) in judged or trace.session_id in whole}


async def _targets(
    db: Reader, runs: Collection[UnfinishedRun], target_type: TargetType, targets: Collection[str]
) -> set[str]:
    run_ids = [run.id for run in runs if run.target_type is target_type]
    found: set[str] = set()
    for some_runs in paging.chunks(run_ids) if targets else ():
        for some in paging.chunks(sorted(targets)):
            found.update(
                await db.scalars(
                    select(_TARGET.c.target_id).where(
                        _TARGET.c.run_id.in_(some_runs), _TARGET.c.target_id.in_(some)
                    )
                )
            )
    return found


async def remove(
    db: Writer, project_id: ProjectId, trace_ids: Sequence[UUID], before: datetime
) -> int:
    """Deletes those of the traces that are still past their age, and returns their number.

    A trace may have been deleted and sent again meanwhile.
    """
    old = await db.scalars(
        select(_TRACE.c.id).where(
            _TRACE.c.project_id == project_id,
            _TRACE.c.id.in_(trace_ids),
            _TRACE.c.ingested_at < before,
        )
    )
    return await trace_edits.remove(db, project_id, list(old))
