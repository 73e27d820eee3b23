"""Resumes runs whose budget has room again, and repeats signals that did not reach a workflow."""

from typing import Final

from core.db.database import Database
from core.queries import run_pauses
from workflows.maintenance_client import MaintenanceClient

RESUME_SECONDS: Final = 15.0


async def resume_runs(database: Database, eval_runs: MaintenanceClient) -> None:
    """Resumes runs that paused at the budget of their project, after a raise or in a new month.

    Raises Unavailable; the next round signals the remaining workflows.
    """
    async with database.read() as db:
        any_waits = await run_pauses.any_to_resume(db)
    if not any_waits:
        return
    async with database.write() as db:
        await run_pauses.resume_within_budget(db)
    async with database.read() as db:
        rows = await run_pauses.awaiting_signal(db)
    for row in rows:
        await eval_runs.resume(row.id)
        async with database.write() as db:
            await run_pauses.mark_signaled(db, row.id)
