"""Run rows: what was asked for, and how it ended."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, bindparam, case, delete, func, or_, select, update
from sqlmodel import col

from core import clock, dialect
from core.database import Reader, Writer
from core.errors import Conflict, NotFound
from core.ids import ProjectId, RunId, RunStatus, ScoreStatus, TargetType
from core.paging import Page
from core.tables import EvalRun, EvalRunTarget, Score, metadata

CANCELLED = "Cancelled before every pair was judged. Scores so far were kept."

INCOMPLETE = "Some pairs were left without a score. Retry the run to judge them."


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRun:
    """`filters` is JSON as the client gave it, nulls left out."""

    id: RunId
    project_id: ProjectId
    target_type: TargetType
    metric_names: list[str]
    model: str
    name: str | None = None
    filters: dict[str, Any]
    sampling_rate: float = 1.0
    fresh: bool = False
    monitor_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Counts:
    """Recomputed from the rows. `cost_usd` is None where a price is unknown."""

    evaluated: int
    failed: int
    usage: dict[str, Any]


async def create(db: Writer, run: NewRun) -> EvalRun:
    row = EvalRun(
        id=run.id,
        project_id=run.project_id,
        target_type=run.target_type,
        name=run.name,
        status=RunStatus.PENDING,
        metric_names=run.metric_names,
        filters=run.filters,
        sampling_rate=run.sampling_rate,
        model=run.model,
        fresh=run.fresh,
        created_at=clock.now(),
        monitor_id=run.monitor_id,
    )
    db.add(row)
    await db.flush()
    return row


async def find(db: Reader, project_id: ProjectId, run_id: UUID) -> EvalRun | None:
    found = await db.execute(
        select(EvalRun).where(col(EvalRun.project_id) == project_id, col(EvalRun.id) == run_id)
    )
    return found.scalar_one_or_none()


async def find_each(
    db: Reader, asked: Collection[tuple[ProjectId, UUID]]
) -> dict[tuple[ProjectId, UUID], EvalRun]:
    """Those that there are, of several projects at once; each run stays in its project."""
    projects, ids = {project for project, _ in asked}, {run for _, run in asked}
    rows = await db.scalars(_BY_ID, {"projects": list(projects), "ids": list(ids)})
    named = ((ProjectId(row.project_id), row.id, row) for row in rows)
    return {(project, run): row for project, run, row in named if (project, run) in asked}


# Made once: whoever polls asks it.
_BY_ID: Final = select(EvalRun).where(
    dialect.checked(col(EvalRun.project_id)).in_(bindparam("projects", expanding=True)),
    col(EvalRun.id).in_(bindparam("ids", expanding=True)),
)


async def get(
    db: Reader, project_id: ProjectId, run_id: UUID, target_type: TargetType | None = None
) -> EvalRun:
    """Raises NotFound, also where the run is over another kind of target than the one named."""
    row = await find(db, project_id, run_id)
    if row is None or target_type not in (None, row.target_type):
        raise NotFound("evaluation run", run_id)
    return row


async def lock(db: Writer, project_id: ProjectId, run_id: UUID) -> EvalRun:
    """The row, held against other writers until the transaction ends. Raises NotFound."""
    found = await db.execute(
        select(EvalRun)
        .where(col(EvalRun.project_id) == project_id, col(EvalRun.id) == run_id)
        .with_for_update()
    )
    row = found.scalar_one_or_none()
    if row is None:
        raise NotFound("evaluation run", run_id)
    return row


async def page(
    db: Reader,
    project_id: ProjectId,
    target_type: TargetType,
    *,
    status: RunStatus | None,
    page: Page,
) -> tuple[list[EvalRun], int]:
    """Newest first, and how many there are in all."""
    where = [col(EvalRun.project_id) == project_id, col(EvalRun.target_type) == target_type]
    if status is not None:
        where.append(col(EvalRun.status) == status)
    total = (await db.execute(select(func.count()).select_from(EvalRun).where(*where))).scalar_one()
    rows = await db.execute(
        select(EvalRun)
        .where(*where)
        .order_by(col(EvalRun.created_at).desc(), col(EvalRun.id).desc())
        .limit(page.limit)
        .offset(page.offset)
    )
    return list(rows.scalars()), total


async def begin(db: Writer, project_id: ProjectId, run_id: UUID) -> EvalRun:
    """A worker has taken the run on. Raises NotFound when it was deleted meanwhile."""
    row = await lock(db, project_id, run_id)
    if row.status is RunStatus.PENDING:
        row.status = RunStatus.RUNNING
    return row


async def request_cancel(db: Writer, project_id: ProjectId, run_id: UUID) -> EvalRun:
    """From its commit on, no score of the run is stored any more. Raises NotFound, Conflict."""
    row = await lock(db, project_id, run_id)
    if row.status.terminal:
        raise Conflict(f"This run is {row.status} already; only a run under way can be cancelled.")
    row.cancel_requested_at = row.cancel_requested_at or clock.now()
    return row


async def is_open(db: Reader, project_id: ProjectId, run_id: UUID) -> bool:
    """Whether scores of this run may still be produced: it exists, is not over, not cancelled."""
    found = await db.execute(_IS_OPEN, {"project_id": project_id, "run_id": run_id})
    return found.first() is not None


_RUN: Final = metadata.tables["eval_run"]

OPEN: Final = (
    _RUN.c.cancel_requested_at.is_(None),
    _RUN.c.status.in_([RunStatus.PENDING, RunStatus.RUNNING]),
)
"""Predicates on a run whose scores may still be produced."""

# Made once: a worker asks it once a second for each run under way.
_IS_OPEN: Final = select(1).where(
    _RUN.c.project_id == bindparam("project_id"), _RUN.c.id == bindparam("run_id"), *OPEN
)


def scores_of(project_id: ProjectId, run_id: UUID) -> tuple[ColumnElement[bool], ...]:
    """All of them, found by the run: there may be many times as many in the project."""
    mine = dialect.checked(col(Score.project_id)) == project_id
    return mine, col(Score.eval_run_id) == run_id


async def counts(db: Reader, project_id: ProjectId, run: EvalRun) -> Counts:
    """What a session run judged on its way, its traces' signals, is paid for but not counted."""
    of_run = scores_of(project_id, run.id)
    counted = dialect.checked(col(Score.target_type)) == run.target_type
    ended = (
        select(col(Score.target_id), func.count().label("ended"))
        .where(*of_run, counted)
        .group_by(col(Score.target_id))
        .subquery()
    )
    evaluated = await db.execute(
        select(func.count())
        .select_from(EvalRunTarget)
        .join(ended, ended.c.target_id == col(EvalRunTarget.target_id))
        .where(col(EvalRunTarget.run_id) == run.id, ended.c.ended >= col(EvalRunTarget.pair_count))
    )
    sums = await db.execute(
        select(
            func.count().filter(counted, col(Score.status) == ScoreStatus.FAILED),
            func.coalesce(func.sum(col(Score.judge_calls)), 0),
            func.coalesce(func.sum(col(Score.cached_calls)), 0),
            func.coalesce(func.sum(col(Score.prompt_tokens)), 0),
            func.coalesce(func.sum(col(Score.completion_tokens)), 0),
            func.coalesce(func.sum(col(Score.cost_usd)), 0.0),
            func.coalesce(
                func.sum(case((col(Score.cost_usd).is_(None) & (col(Score.judge_calls) > 0), 1))), 0
            ),
        ).where(*of_run)
    )
    failed, calls, cached, prompt, completion, cost, unpriced = sums.one()
    usage = {
        "judge_calls": int(calls),
        "cached_calls": int(cached),
        "prompt_tokens": int(prompt),
        "completion_tokens": int(completion),
        "cost_usd": None if unpriced else round(float(cost), 6),
    }
    return Counts(evaluated=evaluated.scalar_one(), failed=int(failed), usage=usage)


async def finish(
    db: Writer,
    project_id: ProjectId,
    run_id: UUID,
    *,
    status: RunStatus,
    error_message: str | None,
) -> EvalRun | None:
    """Writes the final status and exact counts, once: a repeat changes nothing.

    The rows decide: a run with a score for every pair completed, one that lacks
    some did not. None when the run was deleted meanwhile.
    """
    try:
        row = await lock(db, project_id, run_id)
    except NotFound:
        return None
    if not row.status.terminal:
        exact = await counts(db, project_id, row)
        if row.resolved_at is not None and exact.evaluated == row.total_targets:
            status, error_message = RunStatus.COMPLETED, None
        elif row.cancel_requested_at is not None:
            status, error_message = RunStatus.FAILED, CANCELLED
        elif status is RunStatus.COMPLETED:
            status, error_message = RunStatus.FAILED, INCOMPLETE
        row.status = status
        row.error_message = error_message
        row.evaluated_count = exact.evaluated
        row.failed_count = exact.failed
        row.usage = exact.usage
        # A clock may have been set back meanwhile.
        row.completed_at = max(clock.now(), row.created_at)
    return row


async def remove(db: Writer, project_id: ProjectId, run_id: UUID, *, delete_scores: bool) -> None:
    """Scores stay without their run, unless they are to go too. Raises NotFound."""
    await lock(db, project_id, run_id)
    of_run = scores_of(project_id, run_id)
    if delete_scores:
        await db.execute(delete(Score).where(*of_run))
    else:
        await db.execute(update(Score).where(*of_run).values(eval_run_id=None))
    await db.execute(delete(EvalRunTarget).where(col(EvalRunTarget.run_id) == run_id))
    await db.execute(
        delete(EvalRun).where(col(EvalRun.project_id) == project_id, col(EvalRun.id) == run_id)
    )


async def unfinished(db: Reader, *, older_than_seconds: float, limit: int) -> Sequence[EvalRun]:
    """Of every project, oldest first: rows whose workflow may be missing or gone.

    A row from the future is as old as any: its clock was set back after it was made.
    """
    found = await db.execute(
        select(EvalRun)
        .where(
            col(EvalRun.status).in_([RunStatus.PENDING, RunStatus.RUNNING]),
            or_(
                col(EvalRun.created_at) < clock.seconds_ago(older_than_seconds),
                col(EvalRun.created_at) > clock.now(),
            ),
        )
        .order_by(col(EvalRun.created_at))
        .limit(limit)
    )
    return found.scalars().all()
