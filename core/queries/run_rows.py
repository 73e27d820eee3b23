"""Rows of runs: the request and the outcome."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, and_, bindparam, case, delete, func, select, update
from sqlmodel import col

from core import clock
from core.db import paging, sql_functions
from core.db.database import Reader, Writer
from core.db.locking import lock_row
from core.db.paging import Page
from core.db.tables import EvalRun, EvalRunTarget, Score, metadata
from core.errors import Conflict, NotFound
from core.ids import ProjectId, RunStatus, ScoreStatus, TargetType
from core.queries import budget_accounts, kept_usage, noise_settling, run_stops
from core.run_spec import RunSpec

CANCELLED = "Cancelled before every pair was judged. Scores so far were kept."

ENDED_FROM_OUTSIDE = (
    "The run's workflow was ended from outside before every pair was judged. Scores so far were "
    "kept; retry the run to judge the rest."
)

INCOMPLETE = "Some pairs have no score. Retry the run to judge them."


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRun:
    """`filters` is the client's JSON without nulls."""

    spec: RunSpec
    filters: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Counts:
    """Computed from the rows of scores. `cost_usd` is None if a price is unknown."""

    evaluated: int
    failed: int
    usage: dict[str, Any]


async def create(db: Writer, run: NewRun) -> EvalRun:
    row = EvalRun(
        **run.spec.columns(),
        filters=run.filters,
        status=RunStatus.PENDING,
        created_at=clock.now(),
    )
    db.add(row)
    await db.flush()
    if run.spec.has_budget:
        await budget_accounts.open_for_run(
            db,
            row.id,
            row.project_id,
            cost_usd=run.spec.max_cost_usd,
            tokens=run.spec.max_tokens,
        )
    return row


async def find(db: Reader, project_id: ProjectId, run_id: UUID) -> EvalRun | None:
    rows = await db.execute(
        select(EvalRun).where(col(EvalRun.project_id) == project_id, col(EvalRun.id) == run_id)
    )
    return rows.scalar_one_or_none()


async def find_all(
    db: Reader, keys: Collection[tuple[ProjectId, UUID]]
) -> dict[tuple[ProjectId, UUID], EvalRun]:
    """The existing runs of these keys. Keys of several projects may be mixed."""
    projects, ids = {project for project, _ in keys}, {run for _, run in keys}
    rows = await db.scalars(_BY_ID, {"projects": list(projects), "ids": list(ids)})
    named = ((ProjectId(row.project_id), row.id, row) for row in rows)
    return {(project, run): row for project, run, row in named if (project, run) in keys}


# Built once, because every poll executes it.
_BY_ID: Final = select(EvalRun).where(
    sql_functions.unindexed(col(EvalRun.project_id)).in_(bindparam("projects", expanding=True)),
    col(EvalRun.id).in_(bindparam("ids", expanding=True)),
)


async def get(
    db: Reader, project_id: ProjectId, run_id: UUID, target_type: TargetType | None = None
) -> EvalRun:
    """Raises NotFound, also if the run is over another kind of target than the named one."""
    row = await find(db, project_id, run_id)
    if row is None or target_type not in (None, row.target_type):
        raise NotFound("evaluation run", run_id)
    return row


async def lock(db: Writer, project_id: ProjectId, run_id: UUID) -> EvalRun:
    """Locks the row until the transaction ends. Raises NotFound."""
    return await lock_row(db, EvalRun, project_id, run_id, "evaluation run")


async def page(  # noqa: PLR0913  what a list can be asked for
    db: Reader,
    project_id: ProjectId,
    target_type: TargetType,
    *,
    status: RunStatus | None,
    page: Page,
    paused: bool | None = None,
) -> tuple[list[EvalRun], int]:
    """Newest first, and the total."""
    where = [col(EvalRun.project_id) == project_id, col(EvalRun.target_type) == target_type]
    if status is not None:
        where.append(col(EvalRun.status) == status)
    if paused is not None:
        where.append(and_(*PAUSED) if paused else ~and_(*PAUSED))
    newest_first = (col(EvalRun.created_at).desc(), col(EvalRun.id).desc())
    return await paging.fetch(db, select(EvalRun).where(*where).order_by(*newest_first), page)


async def begin(db: Writer, project_id: ProjectId, run_id: UUID) -> EvalRun:
    """Marks the run as begun. Raises NotFound if it was deleted meanwhile."""
    row = await lock(db, project_id, run_id)
    if row.status is RunStatus.PENDING:
        row.status = RunStatus.RUNNING
        row.admitted_at = row.admitted_at or clock.now()
    return row


async def begin_all(db: Writer, run_ids: Collection[UUID]) -> None:
    """Marks the PENDING runs among these as begun.

    Needs a separate transaction, because rows are locked in the order in which writers of scores
    lock them.
    """
    await db.execute(_BEGIN, [{"run": run_id} for run_id in sorted(run_ids)])


async def request_cancel(db: Writer, project_id: ProjectId, run_id: UUID) -> EvalRun:
    """Cancels the run: after the commit none of its scores is stored. Raises NotFound, Conflict."""
    row = await lock(db, project_id, run_id)
    if row.status.terminal:
        raise Conflict(f"This run is {row.status}; only an open run can be cancelled.")
    row.cancel_requested_at = row.cancel_requested_at or clock.now()
    if row.admitted_at is None:
        # Without a workflow, nothing else would end the run.
        await finish(db, project_id, run_id, status=RunStatus.FAILED, error_message=CANCELLED)
    return row


_RUN: Final = metadata.tables["eval_run"]

_BEGIN: Final = (
    update(_RUN)
    .where(_RUN.c.id == bindparam("run"), _RUN.c.status == RunStatus.PENDING)
    .values(status=RunStatus.RUNNING)
)

OPEN: Final = (
    _RUN.c.cancel_requested_at.is_(None),
    _RUN.c.status.in_([RunStatus.PENDING, RunStatus.RUNNING]),
    run_stops.NOT_STOPPED,
)
"""Predicates on a run whose scores may still be stored."""

UNDER_WAY: Final = (col(EvalRun.completed_at).is_(None), col(EvalRun.admitted_at).is_not(None))
PAUSED: Final = (col(EvalRun.completed_at).is_(None), col(EvalRun.paused_at).is_not(None))
GOING_ON: Final = (*UNDER_WAY, col(EvalRun.paused_at).is_(None))
WAITING: Final = (col(EvalRun.completed_at).is_(None), col(EvalRun.admitted_at).is_(None))
"""Predicates on admitted and waiting runs, in the words of their partial indexes.

Paused runs do not count as open.
"""


def scores_of(project_id: ProjectId, run_id: UUID) -> tuple[ColumnElement[bool], ...]:
    """Predicates for all scores of a run, found through the index by run."""
    mine = sql_functions.unindexed(col(Score.project_id)) == project_id
    return mine, col(Score.eval_run_id) == run_id


# Built once, because building the statement takes longer than executing it for a small run.
_OF_RUN: Final = (
    sql_functions.unindexed(col(Score.project_id)) == bindparam("project_id"),
    col(Score.eval_run_id) == bindparam("run_id"),
)
_COUNTED: Final = sql_functions.unindexed(col(Score.target_type)) == bindparam("target_type")
_ENDED: Final = (
    select(col(Score.target_id), func.count().label("ended"))
    .where(*_OF_RUN, _COUNTED)
    .group_by(col(Score.target_id))
    .subquery()
)
_EVALUATED: Final = (
    select(func.count())
    .select_from(EvalRunTarget)
    .join(_ENDED, _ENDED.c.target_id == col(EvalRunTarget.target_id))
    .where(
        col(EvalRunTarget.run_id) == bindparam("run_id"),
        _ENDED.c.ended >= col(EvalRunTarget.pair_count),
    )
)
_SUMS: Final = select(
    func.count().filter(_COUNTED, col(Score.status) == ScoreStatus.FAILED),
    func.coalesce(func.sum(col(Score.judge_calls)), 0),
    func.coalesce(func.sum(col(Score.cached_calls)), 0),
    func.coalesce(func.sum(col(Score.prompt_tokens)), 0),
    func.coalesce(func.sum(col(Score.completion_tokens)), 0),
    func.coalesce(func.sum(col(Score.cost_usd)), 0.0),
    func.coalesce(
        func.sum(case((col(Score.cost_usd).is_(None) & (col(Score.judge_calls) > 0), 1))), 0
    ),
    func.coalesce(func.sum(col(Score.repair_calls)), 0),
    func.coalesce(func.sum(col(Score.repair_cost_usd)), 0.0),
    func.count().filter(col(Score.repair_calls) > 0, col(Score.repair_cost_usd).is_(None)),
).where(*_OF_RUN)


async def counts(db: Reader, project_id: ProjectId, run: EvalRun) -> Counts:
    """Exact counts. The signals of a session run are included in the usage, not in the counts."""
    asked = {"project_id": project_id, "run_id": run.id, "target_type": run.target_type}
    evaluated = await db.execute(_EVALUATED, asked)
    sums = await db.execute(_SUMS, asked)
    failed, calls, cached, prompt, completion, cost, unpriced, *repairs = sums.one()
    repair_calls, repair_cost, unpriced_repairs = repairs
    usage = {
        "judge_calls": int(calls),
        "cached_calls": int(cached),
        "prompt_tokens": int(prompt),
        "completion_tokens": int(completion),
        "cost_usd": None if unpriced else round(float(cost), 6),
        "repair_calls": int(repair_calls),
        "repair_cost_usd": None if unpriced_repairs else round(float(repair_cost), 6),
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
    """Writes the final status and exact counts, once; a repetition has no effect.

    A run with a score for every pair gets COMPLETED. Returns None if the run was deleted meanwhile.
    """
    try:
        row = await lock(db, project_id, run_id)
    except NotFound:
        return None
    if not row.status.terminal:
        exact = await counts(db, project_id, row)
        await close(db, row, exact, status=status, error_message=error_message)
    return row


async def close(
    db: Writer, row: EvalRun, exact: Counts, *, status: RunStatus, error_message: str | None
) -> None:
    """Finishes a locked, unfinished run: see `finish`."""
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
    # The clock may have been set back meanwhile.
    row.completed_at = max(clock.now(), row.created_at)
    await noise_settling.settle(db, ProjectId(row.project_id), row)
    await run_stops.forget(db, row.id)


async def finish_from_outside(db: Writer, project_id: ProjectId, run_id: UUID) -> None:
    """Finishes a run whose workflow was closed from outside. No effect on a finished run."""
    await finish(db, project_id, run_id, status=RunStatus.FAILED, error_message=ENDED_FROM_OUTSIDE)


async def remove(db: Writer, project_id: ProjectId, run_id: UUID, *, delete_scores: bool) -> None:
    """Deletes the run; its scores stay unless `delete_scores`, their usage always.

    Raises NotFound.
    """
    await budget_accounts.lock(db, run_id)
    await lock(db, project_id, run_id)
    of_run = scores_of(project_id, run_id)
    if delete_scores:
        await kept_usage.keep_run(db, run_id)
        await db.execute(delete(Score).where(*of_run))
    else:
        await db.execute(update(Score).where(*of_run).values(eval_run_id=None))
    await db.execute(delete(EvalRunTarget).where(col(EvalRunTarget.run_id) == run_id))
    await noise_settling.forget_open(db, project_id, run_id)
    await run_stops.forget(db, run_id)
    await db.execute(
        delete(EvalRun).where(col(EvalRun.project_id) == project_id, col(EvalRun.id) == run_id)
    )
