"""Decides whether a due monitor has anything to judge, and opens its run."""

from typing import TYPE_CHECKING, Final
from uuid import uuid5

from temporalio import activity

from activities import budget_check
from activities.error_translation import translate_errors
from activities.payloads import DueMonitor, DueRun
from core.db.database import Database, Reader
from core.errors import AssayError, NotFound
from core.ids import MonitorStatus, ProjectId, RunId, TargetType
from core.queries import monitor_matches, monitor_rows, quotas, run_admission, run_rows, workers
from core.run_spec import OpenRunLimits, RunQuota, RunSpec
from evals import catalog

if TYPE_CHECKING:
    from core.db.tables import EvalMonitor, EvalRun

DELETED: Final = "The monitor was deleted."
GOING: Final = "The monitor's last run is still open."


class Monitors:
    """`default_model`: the model of monitors that name none, while no worker offers a model."""

    def __init__(
        self,
        database: Database,
        *,
        default_model: str,
        open_runs: OpenRunLimits,
        quota: RunQuota,
        namespace: str | None = None,
    ) -> None:
        self._database = database
        self._open_runs = open_runs
        self._namespace = namespace
        self._quota = quota
        self._default_model = default_model

    @activity.defn(name="open_due_run")
    @translate_errors
    async def open_due_run(self, due: DueMonitor) -> DueRun:
        """Idempotent: a repetition for the same due time returns the run that the first call
        opened.
        """
        try:
            # Searches before taking the write lock, because the search for matching traces may take
            # long.
            async with self._database.read() as db:
                monitor = await monitor_rows.get(db, ProjectId(due.project_id), due.monitor_id)
                check_metrics(monitor)
                reason = await why_not(db, monitor)
                model = (await workers.offered(db)).default_model or self._default_model
                await budget_check.check(
                    db, ProjectId(due.project_id), monitor.model or model, monitor.max_cost_usd
                )
                # Checked last, because an earlier attempt may have opened this run itself.
                known = await run_rows.find(db, ProjectId(due.project_id), run_id_of(due))
                refusal = await quotas.why_no_run(db, ProjectId(due.project_id), self._quota)
            if known is not None and known.admitted_at is not None:
                return _opened(known)
            if reason is not None:
                return DueRun(None, reason)
            if refusal is not None and known is None:
                return await self._refused(due, refusal)
            return await self._open(due, model)
        except NotFound:
            return DueRun(None, DELETED)
        except AssayError as error:
            return DueRun(None, await self._failed(due, error))

    async def _refused(self, due: DueMonitor, reason: str) -> DueRun:
        """Records an exhausted quota, which is temporary and never pauses the monitor."""
        async with self._database.write() as db:
            await monitor_rows.record_skip(db, ProjectId(due.project_id), due.monitor_id, reason)
        return DueRun(None, reason)

    async def _failed(self, due: DueMonitor, error: AssayError) -> str:
        """Records why no run could be opened, and pauses a monitor that keeps failing."""
        reason = error.message
        async with self._database.write() as db:
            failures = await monitor_rows.record_failure(
                db, ProjectId(due.project_id), due.monitor_id, reason
            )
        if failures < monitor_rows.MAX_FAILURES:
            return f"This monitor cannot run: {reason}"
        return f"This monitor cannot run and was paused after {failures} attempts: {reason}"

    async def _open(self, due: DueMonitor, model: str) -> DueRun:
        """Raises NotFound."""
        project_id, run_id = ProjectId(due.project_id), run_id_of(due)
        async with self._database.write() as db:
            monitor = await monitor_rows.lock(db, project_id, due.monitor_id)
            row = await run_rows.find(db, project_id, run_id)
            if row is None and await monitor_rows.has_run_under_way(db, monitor.id):
                return DueRun(None, GOING)
            if row is None:
                row = await monitor_rows.open_run(db, monitor, run_id, model)
                if not await run_admission.admit_at_once(
                    db, row, self._open_runs, namespace=self._namespace
                ):
                    return DueRun(None, f"Run {row.id} waits to be admitted.")
            return _opened(row)


def run_id_of(due: DueMonitor) -> RunId:
    """The id depends only on the monitor and its due time."""
    return RunId(uuid5(due.monitor_id, due.at.isoformat()))


def check_metrics(monitor: "EvalMonitor") -> None:
    """Raises Invalid for a metric that this release lacks."""
    known = (
        catalog.trace_metric if monitor.target_type is TargetType.TRACE else catalog.session_metric
    )
    for name in monitor.metric_names:
        known(name)


async def why_not(db: Reader, monitor: "EvalMonitor") -> str | None:
    """The reason why a due monitor opens no run, in one sentence; None if it opens a run."""
    if monitor.status is MonitorStatus.PAUSED:
        return "The monitor is paused."
    if await monitor_rows.has_run_under_way(db, monitor.id):
        return GOING
    if monitor.only_if_changed and monitor.last_run_at is not None:
        if not await monitor_matches.any_match(db, monitor, since=monitor.last_run_at):
            return "Nothing that matches has arrived since the last run began."
    elif not await monitor_matches.any_match(db, monitor):
        return "Nothing matches the monitor's filters."
    return None


def _opened(run: "EvalRun") -> DueRun:
    return DueRun(RunSpec.of(run), f"Judging in run {run.id}.")
