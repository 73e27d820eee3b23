"""A monitor that is due: decide whether there is anything new, open a run, see it through."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from temporalio import workflow
from temporalio.common import SearchAttributeKey
from temporalio.exceptions import (
    ChildWorkflowError,
    WorkflowAlreadyStartedError,
    is_cancelled_exception,
)
from temporalio.workflow import ChildWorkflowCancellationType, ParentClosePolicy

with workflow.unsafe.imports_passed_through():
    from activities.inputs import DueMonitor, RunFacts
    from activities.monitors import Monitors
    from core.schedules import MonitorRef
    from core.temporal import MONITOR_WORKFLOW
    from workflows.evaluation import EvalRunWorkflow, stop_reason
    from workflows.policies import BOOKKEEPING
    from workflows.starting import RunToStart, run_input, run_options

_SCHEDULED_AT: Final = SearchAttributeKey.for_datetime("TemporalScheduledStartTime")


@dataclass(frozen=True)
class MonitorOutcome:
    """`run_id` None: nothing was judged, and `note` says why."""

    run_id: UUID | None
    note: str


@workflow.defn(name=MONITOR_WORKFLOW)
class MonitorWorkflow:
    """Lasts as long as its run, so that the schedule skips what comes due meanwhile."""

    @workflow.run
    async def run(self, monitor: MonitorRef) -> MonitorOutcome:
        opening = await workflow.execute_activity_method(
            Monitors.open_due_run,
            DueMonitor(monitor.project_id, monitor.monitor_id, due_at()),
            **BOOKKEEPING,
        )
        workflow.set_current_details(opening.note)
        if opening.run is None:
            return MonitorOutcome(None, opening.note)
        note = await self._see_through(opening.run)
        workflow.set_current_details(note)
        return MonitorOutcome(opening.run.run_id, note)

    async def _see_through(self, facts: RunFacts) -> str:
        run = RunToStart.from_facts(facts)
        try:
            ended = await workflow.execute_child_workflow(
                EvalRunWorkflow.run,
                run_input(run),
                # A child that has continued as new misses its parent's cancel; what the server
                # sends at the parent's close reaches it.
                cancellation_type=ChildWorkflowCancellationType.TRY_CANCEL,
                parent_close_policy=ParentClosePolicy.REQUEST_CANCEL,
                **run_options(run, workflow.info().task_queue),
            )
        except WorkflowAlreadyStartedError:
            return f"Run {run.run_id} was started by a worker that found it waiting."
        except ChildWorkflowError as error:
            if is_cancelled_exception(error) and workflow.cancellation_reason() is not None:
                raise
            # The run's row and workflow say so already; the monitor itself did its work.
            return f"Run {run.run_id} failed: {stop_reason(error)}"
        return f"Run {run.run_id} {ended.status}: {ended.evaluated_count} targets evaluated."


def due_at() -> datetime:
    """The moment the schedule meant; of a workflow started by hand, its start."""
    info = workflow.info()
    return info.typed_search_attributes.get(_SCHEDULED_AT) or info.workflow_start_time
