"""Scores of sessions, and the scores of traces that they are computed from."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, Select, distinct, exists, func, literal, select
from sqlalchemy.orm import aliased
from sqlmodel import col

from core.db import paging
from core.db.column_types import Choice
from core.db.database import Reader
from core.db.paging import Page
from core.db.tables import Score
from core.ids import ProjectId, ScoreSource, ScoreStatus, TargetType


@dataclass(frozen=True, slots=True)
class SignalScore:
    """An automated score of one trace. `number` is None if it failed or does not apply."""

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
) -> list[SignalScore]:
    """The automated scores of these traces, newest first."""
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
    return [SignalScore(*row) for row in rows]


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
    """Each session's newest successful score by the metric, ordered by number.

    Sessions without a number come last. An index holds the numbers in order, so a page is read
    without ranking the rest.
    """
    newest = _newest_successes(project_id, metric)
    number, target = col(Score.number), col(Score.target_id)
    numbered = newest.where(number.is_not(None))
    sessions = select(func.count(distinct(target))).where(*_successes(project_id, metric))
    total = await db.totals.count(db, sessions)
    in_order = numbered.order_by(number.desc() if descending else number.asc(), target)
    rows: list[Row[Any]] = list(await db.execute(paging.on_page(in_order, page)))
    if len(rows) < page.limit and page.offset + len(rows) < total:
        before = await db.scalar(select(func.count()).select_from(numbered.subquery())) or 0
        rest = Page(page.limit - len(rows), max(0, page.offset - before))
        without = newest.where(number.is_(None)).order_by(target)
        rows += await db.execute(paging.on_page(without, rest))
    return rows, total


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
        # States the condition, because a partial index applies only if the query has its condition.
        col(Score.target_type) == literal(TargetType.SESSION, Choice(TargetType), True),
        col(Score.name) == metric,
        col(Score.status) == ScoreStatus.SUCCESS,
    )


def _of_sessions(project_id: ProjectId) -> tuple[ColumnElement[bool], ...]:
    return (col(Score.project_id) == project_id, col(Score.target_type) == TargetType.SESSION)
