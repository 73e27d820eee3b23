"""Scores of sessions, and the scores of traces they are made of."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, Select, delete, distinct, exists, func, literal, select
from sqlalchemy.orm import aliased
from sqlmodel import col

from core.database import Reader, Writer
from core.dialect import Choice
from core.errors import NotFound
from core.ids import ProjectId, ScoreSource, ScoreStatus, TargetType
from core.paging import Page
from core.queries import totals
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
    """Each session's newest successful score by the metric, in the order of the scores.

    Those without a number come last. An index has the numbers in order, so that a
    page is read without ranking what is behind it.
    """
    newest = _newest_successes(project_id, metric)
    number, target = col(Score.number), col(Score.target_id)
    numbered = newest.where(number.is_not(None))
    sessions = select(func.count(distinct(target))).where(*_successes(project_id, metric))
    total = await totals.count(db, sessions)
    rows = await db.execute(
        numbered.order_by(number.desc() if descending else number.asc(), target)
        .limit(page.limit)
        .offset(page.offset)
    )
    found: list[Row[Any]] = list(rows)
    if len(found) < page.limit and page.offset + len(found) < total:
        before = await db.scalar(select(func.count()).select_from(numbered.subquery())) or 0
        rows = await db.execute(
            newest.where(number.is_(None))
            .order_by(target)
            .limit(page.limit - len(found))
            .offset(max(0, page.offset - before))
        )
        found += rows
    return found, total


def _newest_successes(project_id: ProjectId, metric: str) -> Select[*tuple[Any, ...]]:
    later = aliased(Score)
    made_at = col(Score.created_at)
    is_followed = exists().where(
        col(later.project_id) == project_id,
        col(later.target_type) == TargetType.SESSION,
        col(later.target_id) == col(Score.target_id),
        col(later.name) == metric,
        col(later.status) == ScoreStatus.SUCCESS,
        col(later.created_at) >= made_at,
        (col(later.created_at) > made_at) | (col(later.id) > col(Score.id)),
    )
    return select(
        col(Score.target_id), col(Score.number), col(Score.eval_run_id), col(Score.created_at)
    ).where(*_successes(project_id, metric), ~is_followed)


def _successes(project_id: ProjectId, metric: str) -> tuple[ColumnElement[bool], ...]:
    return (
        col(Score.project_id) == project_id,
        # Written out: a partial index serves a query only if the query's text has its condition.
        col(Score.target_type) == literal(TargetType.SESSION, Choice(TargetType), True),
        col(Score.name) == metric,
        col(Score.status) == ScoreStatus.SUCCESS,
    )


def _of_sessions(project_id: ProjectId) -> tuple[ColumnElement[bool], ...]:
    return (col(Score.project_id) == project_id, col(Score.target_type) == TargetType.SESSION)
