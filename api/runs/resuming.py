"""Resumes a run that waits at a budget, or raises the budget of a run that is not paused."""

import contextlib
from typing import TYPE_CHECKING
from uuid import UUID

from api.dependencies import AppState
from api.schemas.run_requests import ResumeBody
from core.errors import Unavailable
from core.ids import ProjectId
from core.queries import run_pauses

if TYPE_CHECKING:
    from core.db.tables import EvalRun


async def resume(stack: AppState, project: ProjectId, run_id: UUID, body: ResumeBody) -> "EvalRun":
    """Returns the changed run.

    Raises NotFound, Conflict, Invalid, and Unavailable. After Unavailable nothing was written.
    """
    await stack.runs.check_reachable()
    async with stack.database.write() as db:
        row = await run_pauses.resume(
            db,
            project,
            run_id,
            max_cost_usd=body.max_cost_usd,
            max_tokens=body.max_tokens,
        )
    if row.resume_requested_at is not None:
        # The row is the truth: if the signal fails now, a worker signals the workflow later.
        with contextlib.suppress(Unavailable):
            await stack.runs.resume(run_id)
            async with stack.database.write() as db:
                await run_pauses.mark_signaled(db, run_id)
    return row
