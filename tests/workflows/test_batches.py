"""Batches that are started again, and the number of open pairs of a batch."""

import asyncio
from uuid import uuid4

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import EventType
from temporalio.api.workflowservice.v1 import ResetWorkflowExecutionRequest

from core.ids import RunStatus
from tests.workflows.conftest import METRICS, Stack
from tests.workflows.judges import Doors
from workflows.policies import CURRENT_LIMITS, Limits

IN_BATCHES = Limits(pairs_without_batch=0, pairs_per_batch=6, min_pairs_per_batch=6)

BUFFERED_EVENTS = 100
"""Temporal fails a workflow task during which more events arrive
(`history.maximumBufferedEventsBatch`).
"""


async def test_a_running_run_that_is_reset_to_its_start_completes(stack: Stack) -> None:
    """The batches of the reset execution have the ids that the new execution needs."""
    doors = stack.judges.script = Doors()
    async with stack.worker():
        run = await stack.post(traces=4, limits=IN_BATCHES)
        await doors.reached.wait()
        described = await stack.handle(run).describe()
        history = await stack.handle(run).fetch_history()
        first_task = next(
            event.event_id
            for event in history.events
            if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED
        )
        await stack.client.workflow_service.reset_workflow_execution(
            ResetWorkflowExecutionRequest(
                namespace=stack.client.namespace,
                workflow_execution=WorkflowExecution(
                    workflow_id=described.id, run_id=described.run_id
                ),
                reason="by hand",
                workflow_task_finish_event_id=first_task,
                request_id=str(uuid4()),
            )
        )
        doors.open.set()
        await stack.handle(run).result()
    row = await stack.row(run)
    assert (row.status, row.error_message) == (RunStatus.COMPLETED, None)
    assert (row.evaluated_count, row.failed_count) == (4, 0)
    assert len(await stack.scores(run)) == 12


async def test_the_open_pairs_of_a_batch_fit_into_the_server_s_buffer(stack: Stack) -> None:
    width = CURRENT_LIMITS.pairs_in_flight
    # A pair that ends adds two events: its start and its end.
    assert 2 * width < BUFFERED_EVENTS
    doors = stack.judges.script = Doors()
    limits = Limits(pairs_without_batch=0, lead_targets=width + 10)
    async with stack.worker():
        run = await stack.post(traces=width + 5, metric_names=METRICS[:1], limits=limits)
        await doors.reached.wait()
        batch = stack.client.get_workflow_handle(f"eval-run-{run.id}-batch-0")
        async with asyncio.timeout(20):
            while not (pending := (await batch.describe()).raw_description.pending_activities):
                await asyncio.sleep(0.05)
        assert len(pending) == width
        doors.open.set()
        await stack.handle(run).result()
    assert (await stack.row(run)).evaluated_count == width + 5


async def test_the_open_pairs_of_a_small_run_fit_into_the_server_s_buffer(stack: Stack) -> None:
    width = CURRENT_LIMITS.small_run_in_flight
    # The end that starts a workflow task is not buffered; two signals may come meanwhile.
    assert 2 * (width - 1) + 2 <= BUFFERED_EVENTS
    doors = stack.judges.script = Doors()
    async with stack.worker():
        run = await stack.post(traces=width + 5, metric_names=METRICS[:1], limits=CURRENT_LIMITS)
        await doors.reached.wait()
        handle = stack.handle(run)
        async with asyncio.timeout(20):
            while not (pending := (await handle.describe()).raw_description.pending_activities):
                await asyncio.sleep(0.05)
        assert len(pending) == width
        doors.open.set()
        await handle.result()
    history = await handle.fetch_history()
    assert not any(
        event.HasField("workflow_task_failed_event_attributes") for event in history.events
    )
    assert (await stack.row(run)).evaluated_count == width + 5
