"""The state of a run: its row and, while the run is open, the progress of its workflow."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from api.dependencies import AppState
from api.runs import budget_view
from api.schemas.runs import EvalRunBody, filters_shown
from core.db.database import Reader
from core.errors import Unavailable
from core.ids import ProjectId, RunStatus
from core.queries import run_admission, run_names, run_rows, workers
from core.run_ending import ending
from core.temporal import run_activity
from workflows.inputs import RunProgress

if TYPE_CHECKING:
    from core.db.tables import EvalRun

# The sum is below two seconds, the limit of a read without workers. The wait is shorter than the
# time-out of the query (`run_client.QUERY_SECONDS`), which other callers share.
_ANSWER_SECONDS = 1.4
_POLLED_SECONDS = 0.4


async def live(stack: AppState, row: "EvalRun") -> EvalRunBody:
    return (await live_all(stack, [row]))[0]


async def live_all(stack: AppState, rows: "Sequence[EvalRun]") -> list[EvalRunBody]:
    bodies = await asyncio.gather(*(_live(stack, row) for row in rows))
    return await budget_view.complete(stack.database, bodies, rows)


async def _live(stack: AppState, row: "EvalRun") -> EvalRunBody:
    if row.status.terminal:
        return EvalRunBody.of(row)
    # A run that was not admitted has no workflow.
    progress = await _ask(stack, row) if row.admitted_at else None
    if progress is not None and not progress.status.terminal:
        return EvalRunBody.of(row, progress)
    if stack.runs.is_closed(row.id):
        project_id = ProjectId(row.project_id)
        async with ending(stack.database, project_id, row.id) as db:
            await run_rows.finish_from_outside(db, project_id, row.id)
    # The run is over, or no worker answered, so the newest row counts.
    return await recorded(stack, row)


async def waiting(stack: AppState, row: "EvalRun") -> EvalRunBody:
    """The state of a new run that was not admitted."""

    async def look(db: Reader) -> tuple[int, datetime | None]:
        return await _count_before(db, row), await workers.last_seen(db)

    before, seen = await stack.database.read_at_once(look)
    silent = run_activity.no_worker(seen) if workers.is_silent(seen) else None
    return EvalRunBody.of(row, activity=silent or run_activity.waiting_for_turn(before))


async def in_full(stack: AppState, row: "EvalRun", body: EvalRunBody) -> EvalRunBody:
    """The response with every id that the run names; lists and events have only the first ids."""
    if not run_names.is_cut(row):
        return body
    async with stack.database.read() as db:
        filters = await run_names.whole_filters(db, row)
    return body.model_copy(update={"filters": filters_shown(filters, row.signal_weights)})


async def recorded(stack: AppState, row: "EvalRun") -> EvalRunBody:
    """The run according to its newest row only."""
    async with stack.database.read() as db:
        newest = await run_rows.find(db, ProjectId(row.project_id), row.id) or row
        if newest.status.terminal:
            return EvalRunBody.of(newest)
        before = None if newest.admitted_at else await _count_before(db, newest)
        seen = await workers.last_seen(db)
        counted = await _count(db, newest)
    reason = await _why_silent(stack, seen)
    if reason is None and before is not None:
        reason = run_activity.waiting_for_turn(before)
    reason = reason or stack.runs.why_silent(row.id)
    earlier = stack.runs.last_counts(row.id)
    known = RunProgress(
        status=newest.status,
        total_targets=newest.total_targets,
        # Counts never fall, although the scores of a large run are not counted here.
        evaluated_count=max(counted[0], earlier[0]),
        failed_count=max(counted[1], earlier[1]),
        activity=_waiting(newest, reason),
    )
    return EvalRunBody.of(newest, known)


async def _count_before(db: Reader, row: "EvalRun") -> int:
    return await run_admission.count_before(db, row, at_most=run_activity.MAX_RUNS_BEFORE)


async def _count(db: Reader, row: "EvalRun") -> tuple[int, int]:
    """Counts evaluated targets and failed pairs from the scores; a finished run has them in its
    row.

    A large run is not counted, because the count would delay the response.
    """
    if row.resolved_at is None or row.total_targets > budget_view.MAX_COUNTED:
        return row.evaluated_count, row.failed_count
    exact = await run_rows.counts(db, ProjectId(row.project_id), row)
    return exact.evaluated, exact.failed


async def _ask(stack: AppState, row: "EvalRun") -> RunProgress | None:
    try:
        async with asyncio.timeout(_ANSWER_SECONDS):
            return await stack.runs.progress(row.id)
    except TimeoutError:
        return None


async def _why_silent(stack: AppState, last_seen: datetime | None) -> str | None:
    """Why no worker answers for a run; None while workers serve the queue."""
    if workers.is_silent(last_seen):
        return run_activity.no_worker(last_seen)
    try:
        if await stack.runs.is_polled(within_seconds=_POLLED_SECONDS):
            return None
    except Unavailable:
        return run_activity.TEMPORAL_AWAY
    return run_activity.not_polled(stack.settings.task_queue)


def _waiting(row: "EvalRun", reason: str | None) -> str:
    if row.cancel_requested_at is not None:
        return run_activity.cancelling(reason)
    if reason is not None:
        return reason
    if row.status is RunStatus.PENDING:
        return run_activity.WAITING_TO_BEGIN
    return run_activity.WAITING_FOR_ANSWER
