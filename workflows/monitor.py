"""A due monitor: opens a run if any target matches, and waits for the end of the run."""

from datetime import datetime
from typing import Any, Final

from temporalio import workflow
from temporalio.common import SearchAttributeKey
from temporalio.exceptions import (
    ChildWorkflowError,
    WorkflowAlreadyStartedError,
    is_cancelled_exception,
)
from temporalio.workflow import ChildWorkflowCancellationType, ParentClosePolicy

with workflow.unsafe.imports_passed_through():
    from activities.monitors import Monitors
    from activities.payloads import DueMonitor
    from core.run_spec import RunSpec
    from core.safe_text import plain_markdown
    from core.temporal.schedules import MonitorRef
    from workflows.eval_run import EvalRunWorkflow
    from workflows.inputs import MonitorOutcome, RunProgress
    from workflows.policies import BOOKKEEPING
    from workflows.start_options import run_input, run_options
    from workflows.stop_reason import stop_reason

_SCHEDULED_AT: Final = SearchAttributeKey.for_datetime("TemporalScheduledStartTime")


@workflow.defn
class MonitorWorkflow:
    """Stays open as long as its run, so that the schedule skips due times during the run."""

    @workflow.run
    async def run(self, monitor: MonitorRef) -> MonitorOutcome:
        return await self._judge(monitor)

    async def _judge(self, monitor: MonitorRef) -> MonitorOutcome:
        due = await workflow.execute_activity_method(
            Monitors.open_due_run,
            DueMonitor(monitor.project_id, monitor.monitor_id, due_at()),
            **BOOKKEEPING,
        )
        workflow.set_current_details(plain_markdown(due.note))
        if due.run is None:
            return MonitorOutcome(None, due.note)
        note = await self._see_through(due.run)
        workflow.set_current_details(plain_markdown(note))
        return MonitorOutcome(due.run.run_id, note)

    async def _see_through(self, spec: RunSpec) -> str:
        try:
            ended = await workflow.execute_child_workflow(
                *self._run_workflow(spec),
                result_type=RunProgress,
                # A child that has continued as new misses the cancellation of its parent. It gets
                # the request that the server sends when the parent closes.
                cancellation_type=ChildWorkflowCancellationType.TRY_CANCEL,
                parent_close_policy=ParentClosePolicy.REQUEST_CANCEL,
                **run_options(spec, workflow.info().task_queue),
            )
        except WorkflowAlreadyStartedError:
            return f"Run {spec.run_id} was started by a worker that found it waiting."
        except ChildWorkflowError as error:
            if is_cancelled_exception(error) and workflow.cancellation_reason() is not None:
                raise
            # The row and the workflow of the run report the failure; the monitor itself succeeded.
            return f"Run {spec.run_id} failed: {stop_reason(error)}"
        return f"Run {spec.run_id} {ended.status}: {ended.evaluated_count} targets evaluated."

    def _run_workflow(self, spec: RunSpec) -> tuple[Any, Any]:
        """The type of a run's workflow, and its input."""
        return EvalRunWorkflow.run, run_input(spec)


def due_at() -> datetime:
    """The scheduled time; the start of the workflow if it was started by hand."""
    info = workflow.info()
    return info.typed_search_attributes.get(_SCHEDULED_AT) or info.workflow_start_time
