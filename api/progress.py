"""How a run stands: its row, under what its workflow says while it is not over."""

import asyncio
from collections.abc import Sequence
from datetime import datetime

from api.dependencies import Stack
from api.models.runs import EvalRunBody
from core import clock
from core.errors import Unavailable
from core.ids import ProjectId, RunStatus
from core.queries import runs, workers
from core.tables import EvalRun
from workflows.evaluation import RunProgress

# Together below the 2 s within which a read must be answered, no worker being up.
_ANSWER_SECONDS = 1.4
_POLLED_SECONDS = 0.4


async def live(stack: Stack, row: EvalRun) -> EvalRunBody:
    if row.status.terminal:
        return EvalRunBody.of(row)
    progress = await _ask(stack, row)
    if progress is not None and not progress.status.terminal:
        return EvalRunBody.of(row, progress)
    # Over, or nobody answered: whatever was written meanwhile counts.
    return await recorded(stack, row)


async def recorded(stack: Stack, row: EvalRun) -> EvalRunBody:
    """The run by its newest row alone."""
    async with stack.database.read() as db:
        newest = await runs.find(db, ProjectId(row.project_id), row.id) or row
        if newest.status.terminal:
            return EvalRunBody.of(newest)
        seen = await workers.last_seen(db)
    reason = await _nobody_answers(stack, seen)
    return EvalRunBody.of(newest, activity=_waiting(newest, reason))


async def live_all(stack: Stack, rows: Sequence[EvalRun]) -> list[EvalRunBody]:
    return await asyncio.gather(*(live(stack, row) for row in rows))


async def _ask(stack: Stack, row: EvalRun) -> RunProgress | None:
    try:
        async with asyncio.timeout(_ANSWER_SECONDS):
            return await stack.runs.progress(row.id)
    except TimeoutError:
        return None


async def _nobody_answers(stack: Stack, last_seen: datetime | None) -> str | None:
    if last_seen is None:
        return "no worker is running"
    if last_seen < clock.seconds_ago(workers.SILENT_AFTER_SECONDS):
        return f"no worker is running; the last was heard from at {last_seen:%H:%M:%S} UTC"
    try:
        if await stack.runs.is_polled(within_seconds=_POLLED_SECONDS):
            return None
    except Unavailable:
        return "Temporal cannot be reached"
    return f"no worker polls the task queue {stack.settings.task_queue!r}"


def _waiting(row: EvalRun, reason: str | None) -> str:
    if row.cancel_requested_at is not None:
        return "cancelling" if reason is None else f"cancelling; {reason}"
    if reason is not None:
        return reason
    if row.status is RunStatus.PENDING:
        return "waiting for a worker to begin"
    return "waiting for a worker to answer"
