"""The first and the last step of a run: freezing its targets, and recording its outcome."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from temporalio import activity

from activities import open_pairs
from activities.error_translation import translate_errors
from activities.judging.heartbeat import heartbeating
from activities.payloads import RecordedOutcome, Resolved, RunOutcome, RunRef
from core.db.database import Database, Writer
from core.db.group_commit import GroupCommit
from core.ids import ProjectId, RunStatus
from core.queries import run_pairs, run_rows, run_sampling, run_targets, stored_figures
from core.run_ending import ending
from core.telemetry.measures import RUNS_ENDED

if TYPE_CHECKING:
    from core.db.tables import EvalRun

MAX_LISTED_PAIRS: Final = 200
"""A run with at most this many pairs gets the pairs together with their count."""


class Runs:
    """`on_finish` is called after each end of a run, so that the next run may begin."""

    def __init__(self, database: Database, on_finish: Callable[[], None] = lambda: None) -> None:
        self._database = database
        self._on_finish = on_finish
        self._small_ends = GroupCommit(database)

    @activity.defn(name="resolve_targets")
    @translate_errors
    async def resolve_targets(self, run: RunRef) -> Resolved:
        """Freezes the sample. Idempotent: a repetition returns the first result."""
        project_id = ProjectId(run.project_id)
        async with heartbeating():
            async with self._database.write() as db:
                row = await run_rows.begin(db, project_id, run.run_id)
            async with self._database.read() as db:
                drawn = await run_sampling.draw(db, row)
            async with self._database.write() as db:
                row = await run_rows.lock(db, project_id, run.run_id)
                total = await run_sampling.freeze(db, row, drawn)
                pairs = await run_pairs.count(db, run.run_id)
            if pairs > MAX_LISTED_PAIRS:
                return Resolved(targets=total, pairs=pairs)
            async with self._database.read() as db:
                queue = activity.info().task_queue
                listed = await open_pairs.of_targets(db, row, queue, first=0, last=total - 1)
            return Resolved(targets=total, pairs=pairs, open_pairs=listed)

    @activity.defn(name="finish_run")
    @translate_errors
    async def finish_run(self, outcome: RunOutcome) -> RecordedOutcome | None:
        """Returns None if the run was deleted meanwhile. Idempotent."""
        project_id, run_id = ProjectId(outcome.run.project_id), outcome.run.run_id

        async def finish(db: Writer) -> "EvalRun | None":
            row = await run_targets.finish(
                db,
                project_id,
                run_id,
                status=outcome.status,
                error_message=outcome.error_message,
            )
            if row is not None and row.figures is None:
                await stored_figures.keep(db, project_id, row)
            return row

        # A completed run has no open pair, so no worker writes scores and no stop row is needed.
        if outcome.status is not RunStatus.COMPLETED:
            async with ending(self._database, project_id, run_id) as db:
                row = await finish(db)
        elif activity.info().is_local:
            row = await self._small_ends.write(finish)
        else:
            async with self._database.write() as db:
                row = await finish(db)
        self._on_finish()
        if row is None:
            return None
        RUNS_ENDED.labels(row.status).inc()
        return RecordedOutcome(
            status=row.status,
            total_targets=row.total_targets,
            evaluated=row.evaluated_count,
            failed=row.failed_count,
            error_message=row.error_message,
        )
