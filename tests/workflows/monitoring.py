"""Monitors on the real stack, for tests and for the recording of histories."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from temporalio.client import ScheduleHandle, WorkflowExecutionStatus, WorkflowHandle

from core.db.paging import Page
from core.db.tables import EvalMonitor, EvalRun
from core.ids import MonitorStatus
from core.queries import monitor_rows
from core.temporal.schedule_sync import ScheduleSync
from core.temporal.schedules import MonitorRef, Schedules
from tests.factories import make_monitor
from tests.workflows.conftest import METRICS, Stack
from workflows.inputs import MonitorOutcome
from workflows.monitor import MonitorWorkflow


@dataclass
class Watch:
    """One monitor of a stack, with row and schedule."""

    stack: Stack
    monitor: EvalMonitor
    clockwork: ScheduleSync

    @classmethod
    async def over(cls, stack: Stack, **settings: Any) -> "Watch":
        monitor = await make_monitor(
            stack.database,
            stack.project_id,
            **({"metric_names": METRICS, "model": "scripted/judge"} | settings),
        )
        clockwork = ScheduleSync(
            stack.database, Schedules(stack.client, task_queue=stack.task_queue)
        )
        await clockwork.sync(monitor.id)
        return cls(stack, monitor, clockwork)

    @property
    def schedule(self) -> ScheduleHandle:
        return self.stack.client.get_schedule_handle(f"eval-monitor-{self.monitor.id}")

    async def start(self, suffix: str) -> WorkflowHandle[MonitorWorkflow, MonitorOutcome]:
        """Starts the workflow like the schedule, at a moment that the test chooses."""
        return await self.stack.client.start_workflow(
            MonitorWorkflow.run,
            MonitorRef(self.monitor.project_id, self.monitor.id),
            id=f"eval-monitor-{self.monitor.id}-{suffix}",
            task_queue=self.stack.task_queue,
        )

    async def turn(self, *, paused: bool) -> None:
        status = MonitorStatus.PAUSED if paused else MonitorStatus.ACTIVE
        async with self.stack.database.write() as db:
            await monitor_rows.set_status(db, self.stack.project_id, self.monitor.id, status)
        await self.clockwork.sync(self.monitor.id)

    async def runs(self) -> list[EvalRun]:
        """Newest first."""
        async with self.stack.database.read() as db:
            found, _ = await monitor_rows.page_of_runs(
                db, self.stack.project_id, self.monitor.id, Page()
            )
        return found

    async def run(self) -> EvalRun:
        [only] = await self.runs()
        return only

    async def started_for(self) -> list[datetime]:
        """The scheduled times of the ended workflows, in order."""
        found = [
            workflow.typed_search_attributes
            async for workflow in self.stack.client.list_workflows(
                f"WorkflowType = 'MonitorWorkflow' AND AssayMonitor = '{self.monitor.id}'"
            )
            if workflow.status is WorkflowExecutionStatus.COMPLETED
        ]
        moments = [
            pair.value
            for attributes in found
            for pair in attributes
            if pair.key.name == "TemporalScheduledStartTime"
        ]
        return sorted(moments)


def run_id(outcome: MonitorOutcome) -> UUID:
    assert outcome.run_id is not None, outcome.note
    return outcome.run_id
