"""The two ends of a run: freezing its targets and writing how it ended."""

from temporalio import activity

from activities.failures import translated
from activities.heartbeats import beating
from activities.inputs import Ended, Ending, Resolved, RunRef
from core.database import Database
from core.ids import ProjectId
from core.queries import pairs, runs, targets


class Runs:
    def __init__(self, database: Database) -> None:
        self._database = database

    @activity.defn(name="resolve_targets")
    @translated
    async def resolve_targets(self, run: RunRef) -> Resolved:
        """Freezes the sample. Idempotent: a repeat returns the first answer."""
        project_id = ProjectId(run.project_id)
        async with beating():
            async with self._database.write() as db:
                row = await runs.begin(db, project_id, run.run_id)
            async with self._database.read() as db:
                drawn = await targets.draw(db, row)
            async with self._database.write() as db:
                row = await runs.lock(db, project_id, run.run_id)
                total = await targets.freeze(db, row, drawn)
                return Resolved(targets=total, pairs=await pairs.count(db, run.run_id))

    @activity.defn(name="finish_run")
    @translated
    async def finish_run(self, ending: Ending) -> Ended | None:
        """None: the run was deleted meanwhile. Idempotent."""
        async with self._database.write() as db:
            row = await runs.finish(
                db,
                ProjectId(ending.run.project_id),
                ending.run.run_id,
                status=ending.status,
                error_message=ending.error_message,
            )
            if row is None:
                return None
            return Ended(
                status=row.status,
                total_targets=row.total_targets,
                evaluated=row.evaluated_count,
                failed=row.failed_count,
                error_message=row.error_message,
            )
