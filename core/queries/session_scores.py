"""Scores of sessions, and the scores of traces they are made of."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, delete, func, select
from sqlmodel import col

from core.database import Reader, Writer
from core.errors import NotFound
from core.ids import ProjectId, ScoreSource, ScoreStatus, TargetType
from core.paging import Page
from core.tables import Score


@dataclass(frozen=True, slots=True)
class Signal:
    """What a judge said of one trace. `number` None: nothing, or nothing that applies."""

    trace_id: str
    metric: str
    status: ScoreStatus
    number: float | None
    reason: str | None
    run_id: UUID | None
    created_at: datetime
    metadata: dict[str, Any]


async def signals(
    db: Reader, project_id: ProjectId, trace_ids: Sequence[str], metrics: Sequence[str]
) -> list[Signal]:
    """What judges have said of these traces, the newest first."""
    rows = await db.execute(
        select(
            col(Score.target_id),
            col(Score.name),
            col(Score.status),
            col(Score.number),
            col(Score.reason),
            col(Score.eval_run_id),
            col(Score.created_at),
            col(Score.meta),
        )
        .where(
            col(Score.project_id) == project_id,
            col(Score.target_type) == TargetType.TRACE,
            col(Score.target_id).in_(trace_ids),
            col(Score.name).in_(metrics),
            col(Score.source) == ScoreSource.AUTOMATED,
        )
        .order_by(col(Score.created_at).desc(), col(Score.id).desc())
    )
    return [Signal(*row) for row in rows]


async def remove(db: Writer, project_id: ProjectId, score_id: UUID) -> None:
    """Raises NotFound."""
    found = await db.execute(
        delete(Score)
        .where(*_of_sessions(project_id), col(Score.id) == score_id)
        .returning(col(Score.id))
    )
    if found.first() is None:
        raise NotFound("session score", score_id)


async def history(
    db: Reader, project_id: ProjectId, session_id: str, *, metric: str | None, limit: int
) -> list[Any]:
    """The session's `limit` newest scores, oldest first."""
    where = [*_of_sessions(project_id), col(Score.target_id) == session_id]
    if metric is not None:
        where.append(col(Score.name) == metric)
    rows = await db.execute(
        select(
            col(Score.name),
            col(Score.number),
            col(Score.eval_run_id),
            col(Score.created_at),
            col(Score.status),
        )
        .where(*where)
        .order_by(col(Score.created_at).desc(), col(Score.id).desc())
        .limit(limit)
    )
    return list(rows)[::-1]


async def comparison(
    db: Reader, project_id: ProjectId, metric: str, page: Page, *, descending: bool
) -> tuple[Sequence[Row[Any]], int]:
    """Each session's newest successful score by the metric, in the order of the scores."""
    ranked = (
        select(
            col(Score.target_id),
            col(Score.number),
            col(Score.eval_run_id),
            col(Score.created_at),
            func.row_number()
            .over(
                partition_by=col(Score.target_id),
                order_by=(col(Score.created_at).desc(), col(Score.id).desc()),
            )
            .label("age"),
        )
        .where(
            *_of_sessions(project_id),
            col(Score.name) == metric,
            col(Score.status) == ScoreStatus.SUCCESS,
        )
        .subquery()
    )
    newest = ranked.c.age == 1
    total = await db.scalar(select(func.count()).select_from(ranked).where(newest))
    by = ranked.c.number.desc() if descending else ranked.c.number.asc()
    rows = await db.execute(
        select(ranked)
        .where(newest)
        .order_by(by.nulls_last(), ranked.c.target_id)
        .limit(page.limit)
        .offset(page.offset)
    )
    return rows.all(), total or 0


def _of_sessions(project_id: ProjectId) -> tuple[ColumnElement[bool], ...]:
    return (col(Score.project_id) == project_id, col(Score.target_type) == TargetType.SESSION)
