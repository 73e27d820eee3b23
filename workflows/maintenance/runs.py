"""Restarts or ends runs whose row and workflow disagree."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Final

from core import clock
from core.db import dialect
from core.db.database import Database
from core.errors import AssayError
from core.ids import ProjectId, RunStatus
from core.periodic import repeating
from core.queries import run_rows, run_upkeep
from core.run_ending import ending
from core.run_spec import RunSpec
from core.telemetry import log_ids
from core.temporal.process_identity import process_identity
from workflows.maintenance.budgets import RESUME_SECONDS, resume_runs
from workflows.maintenance.lease import Work, leased
from workflows.maintenance.lost_workers import LOOK_SECONDS, LostPairs
from workflows.maintenance.stalled_runs import INSPECT_SECONDS, StalledRuns
from workflows.maintenance_client import MaintenanceClient
from workflows.workflow_state import WorkflowState

if TYPE_CHECKING:
    from core.db.tables import EvalRun

RECONCILE_SECONDS: Final = 10.0

PAGE_SIZE: Final = 200
"""Runs per round; this limits the load on Temporal to twenty requests per second."""

STUCK_SECONDS: Final = 60.0
"""A workflow that is still open this long after its run was cancelled does not act on the
cancellation.
"""

log = logging.getLogger("assay.worker")


@asynccontextmanager
async def caring_for_runs(database: Database, eval_runs: MaintenanceClient) -> AsyncIterator[None]:
    """Reconciles runs periodically while the block runs, in one worker at a time."""
    holder = process_identity()

    def once(name: str, work: Work) -> Work:
        return leased(database, name, holder, work)

    reconcile = RunReconciliation(database, eval_runs).next_page
    stalled = StalledRuns(database, eval_runs).inspect
    resume = partial(resume_runs, database, eval_runs)
    # A new holder of the lease has seen no silence yet. It acts after two rounds of its own.
    lost = LostPairs(database, eval_runs).reclaim
    async with (
        repeating(once("reconcile-runs", reconcile), every=RECONCILE_SECONDS),
        repeating(once("stalled-runs", stalled), every=INSPECT_SECONDS),
        repeating(once("lost-workers", lost), every=LOOK_SECONDS),
        repeating(once("resume-runs", resume), every=RESUME_SECONDS),
    ):
        yield


class RunReconciliation:
    """Checks the runs of this Temporal repeatedly, oldest first, one page per round."""

    def __init__(
        self, database: Database, eval_runs: MaintenanceClient, *, page_size: int = PAGE_SIZE
    ) -> None:
        self._database = database
        self._eval_runs = eval_runs
        self._page_size = page_size
        self._after: run_upkeep.RunPlace | None = None

    async def next_page(self) -> None:
        """Raises Unavailable and database errors."""
        async with self._database.read() as db:
            rows = await run_upkeep.unfinished(
                db,
                older_than_seconds=RECONCILE_SECONDS,
                limit=self._page_size,
                namespace=await self._eval_runs.namespace(),
                after=self._after,
            )
        self._after = run_upkeep.place_of(rows[-1]) if len(rows) == self._page_size else None
        for row in rows:
            with log_ids.scope(project_id=row.project_id, run_id=row.id):
                await self._reconcile(row)

    async def _reconcile(self, row: "EvalRun") -> None:
        try:
            await reconcile_run(self._database, self._eval_runs, row)
        except AssayError as error:
            # A run that Temporal refuses must not block the runs after it.
            log.warning("Run %s could not be reconciled: %s", row.id, error.message)
        except Exception as error:
            if dialect.is_transient(error):
                raise
            log.exception("Run %s could not be reconciled", row.id)


async def reconcile_run(database: Database, eval_runs: MaintenanceClient, row: "EvalRun") -> None:
    state = await eval_runs.existence(row.id)
    if state is WorkflowState.OPEN:
        if row.cancel_requested_at is not None:
            await _enforce_cancel(database, eval_runs, row)
        return
    if state is WorkflowState.ABSENT:
        # The workflow was never started, or was lost with Temporal's data. The store has the scores
        # so far.
        log.warning("Temporal knows no workflow of run %s; starting it", row.id)
        await eval_runs.start(RunSpec.of(row), wait_seconds=0)
        return
    project_id = ProjectId(row.project_id)
    async with ending(database, project_id, row.id) as db:
        await run_rows.finish_from_outside(db, project_id, row.id)


async def _enforce_cancel(database: Database, eval_runs: MaintenanceClient, row: "EvalRun") -> None:
    """Repeats a lost cancellation; terminates a workflow whose code does not act on it."""
    assert row.cancel_requested_at is not None
    if row.cancel_requested_at > clock.seconds_ago(STUCK_SECONDS):
        await eval_runs.cancel(row.id)
        return
    log.warning("Run %s does not act on its cancellation; ending its workflow", row.id)
    await eval_runs.terminate(row.id, reason="Cancelled, but its workflow code fails.")
    project_id = ProjectId(row.project_id)
    async with ending(database, project_id, row.id) as db:
        await run_rows.finish(
            db,
            project_id,
            row.id,
            status=RunStatus.FAILED,
            error_message=run_rows.CANCELLED,
        )
