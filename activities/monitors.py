"""Whether a monitor that is due has anything to judge; if so, the row of its run."""

from uuid import uuid5

from temporalio import activity

from activities.failures import translated
from activities.inputs import DueMonitor, Opening, RunFacts
from core.database import Database, Reader
from core.errors import NotFound
from core.ids import MonitorStatus, ProjectId, RunId
from core.queries import monitors, runs, watched, workers
from core.tables import EvalMonitor, EvalRun

DELETED = "The monitor was deleted."
GOING = "The monitor's last run is still going."


class Monitors:
    """`default_model` judges for monitors that name none, while no worker's offer is known."""

    def __init__(self, database: Database, *, default_model: str) -> None:
        self._database = database
        self._default_model = default_model

    @activity.defn(name="open_due_run")
    @translated
    async def open_due_run(self, due: DueMonitor) -> Opening:
        """Idempotent: a repeat for the same moment returns the run that is open already."""
        try:
            # Decided without the write lock: looking for matching traces may take a while.
            async with self._database.read() as db:
                monitor = await monitors.get(db, ProjectId(due.project_id), due.monitor_id)
                reason = await why_not(db, monitor)
                model = (await workers.offered(db)).default_model or self._default_model
                # Last: what speaks against a run may be the one that a repeat of this has opened.
                known = await runs.find(db, ProjectId(due.project_id), run_id_of(due))
            if known is not None:
                return _opened(known)
            return await self._open(due, model) if reason is None else Opening(None, reason)
        except NotFound:
            return Opening(None, DELETED)

    async def _open(self, due: DueMonitor, model: str) -> Opening:
        """Raises NotFound."""
        project_id, run_id = ProjectId(due.project_id), run_id_of(due)
        async with self._database.write() as db:
            monitor = await monitors.lock(db, project_id, due.monitor_id)
            row = await runs.find(db, project_id, run_id)
            if row is None and await monitors.has_run_under_way(db, monitor.id):
                return Opening(None, GOING)
            return _opened(row or await monitors.open_run(db, monitor, run_id, model))


def run_id_of(due: DueMonitor) -> RunId:
    """The same for the same moment of the same monitor."""
    return RunId(uuid5(due.monitor_id, due.at.isoformat()))


async def why_not(db: Reader, monitor: EvalMonitor) -> str | None:
    """Why a due monitor opens no run, in a sentence; None when it does."""
    if monitor.status is MonitorStatus.PAUSED:
        return "The monitor is paused."
    if await monitors.has_run_under_way(db, monitor.id):
        return GOING
    if monitor.only_if_changed and monitor.last_run_at is not None:
        if not await watched.any_match(db, monitor, since=monitor.last_run_at):
            return "Nothing that matches has arrived since the last run began."
    elif not await watched.any_match(db, monitor):
        return "Nothing matches the monitor's filters."
    return None


def _opened(run: EvalRun) -> Opening:
    return Opening(RunFacts.of(run), f"Judging in run {run.id}.")
