"""Starting, watching and cancelling runs from outside: what the API does with Temporal."""

import asyncio
import contextlib
import time
from dataclasses import replace
from datetime import timedelta
from enum import StrEnum
from typing import Final
from uuid import UUID

from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import (
    Client,
    WithStartWorkflowOperation,
    WorkflowExecutionStatus,
    WorkflowHandle,
    WorkflowQueryFailedError,
    WorkflowQueryRejectedError,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from temporalio.common import QueryRejectCondition, WorkflowIDConflictPolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from activities.waiting import PairsOfOthers, UnderWay, why_waiting
from core.errors import Unavailable
from core.temporal import REACH_SECONDS, run_workflow_id, unavailable
from workflows.evaluation import EvalRunWorkflow, RunProgress
from workflows.starting import RunToStart, run_input, run_options

__all__ = ["EvalRuns", "Existence", "RunToStart"]

QUERY_SECONDS: Final = 2.0
SHARED_SECONDS: Final = 1.0
KEPT_SECONDS: Final = 2.0
PATIENCE_SECONDS: Final = 0.02


class Existence(StrEnum):
    """What Temporal knows of a run's workflow."""

    OPEN = "OPEN"
    CLOSED = "CLOSED"
    ABSENT = "ABSENT"


class EvalRuns:
    """The runs of one Temporal namespace."""

    def __init__(
        self, client: Client, *, task_queue: str, pairs_of_others: PairsOfOthers | None = None
    ) -> None:
        self._client = client
        self._task_queue = task_queue
        self._pairs_of_others = pairs_of_others
        self._seen: dict[UUID, tuple[float, RunProgress | None]] = {}
        self._asking: dict[UUID, asyncio.Task[RunProgress | None]] = {}

    async def check_reachable(self) -> None:
        """Raises Unavailable."""
        with unavailable():
            async with asyncio.timeout(REACH_SECONDS):
                serving = await self._client.service_client.check_health()
        if not serving:
            raise Unavailable("Temporal", "It does not serve yet; try again in a moment.")

    async def start(self, run: RunToStart, *, wait_seconds: float) -> RunProgress | None:
        """Starts the run's workflow and waits up to `wait_seconds` for its targets.

        None: started, but nothing has answered yet. A run started before is left as
        it is. Raises Unavailable; the workflow may exist even then.
        """
        with unavailable():
            if wait_seconds > 0:
                progress = await self._start_and_wait(run, wait_seconds)
                if progress is not None:
                    return progress
            # Without an answer in time, nobody knows whether the start arrived; this one says.
            with contextlib.suppress(WorkflowAlreadyStartedError):
                await self._client.start_workflow(
                    EvalRunWorkflow.run,
                    run_input(run),
                    id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                    rpc_timeout=timedelta(seconds=REACH_SECONDS),
                    **run_options(run, self._task_queue),
                )
        return None

    async def _start_and_wait(self, run: RunToStart, wait_seconds: float) -> RunProgress | None:
        operation = WithStartWorkflowOperation(
            EvalRunWorkflow.run,
            run_input(run),
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            **run_options(run, self._task_queue),
        )
        try:
            async with asyncio.timeout(wait_seconds):
                return await self._client.execute_update_with_start_workflow(
                    EvalRunWorkflow.resolved,
                    start_workflow_operation=operation,
                    id=f"{run.run_id}-resolved",
                    rpc_timeout=timedelta(seconds=wait_seconds),
                )
        except (
            TimeoutError,
            WorkflowUpdateRPCTimeoutOrCancelledError,
            WorkflowUpdateFailedError,
        ):
            return None
        finally:
            # Unread, the handle's error would be reported as never retrieved.
            with contextlib.suppress(RPCError, WorkflowAlreadyStartedError, asyncio.CancelledError):
                await operation.workflow_handle()

    async def progress(self, run_id: UUID) -> RunProgress | None:
        """None when no worker answers in time or nothing runs.

        Concurrent callers share one query: the server holds back all but one while a
        workflow task is under way. Busy workers take their time over it: whoever keeps
        asking has the newest answer known meanwhile, and never waits for them again.
        """
        at, known = self._seen.get(run_id, (-KEPT_SECONDS, None))
        age = time.monotonic() - at
        if age < SHARED_SECONDS:
            return known
        asking = self._asking.get(run_id)
        if asking is None:
            asking = asyncio.create_task(self._ask(run_id))
            self._asking[run_id] = asking
        if age < KEPT_SECONDS:
            await asyncio.wait([asking], timeout=PATIENCE_SECONDS)
            return asking.result() if asking.done() else known
        return await asyncio.shield(asking)

    async def is_polled(self, *, within_seconds: float) -> bool:
        """Whether any worker has asked this queue for work lately. Raises Unavailable."""
        with unavailable():
            async with asyncio.timeout(within_seconds):
                described = await self._client.workflow_service.describe_task_queue(
                    DescribeTaskQueueRequest(
                        namespace=self._client.namespace,
                        task_queue=TaskQueue(name=self._task_queue),
                        task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
                    )
                )
        return bool(described.pollers)

    async def cancel(self, run_id: UUID) -> None:
        """A run that is over already, or was never started, is fine. Raises Unavailable."""
        try:
            with unavailable(besides=RPCStatusCode.NOT_FOUND):
                await self._handle(run_id).cancel(rpc_timeout=timedelta(seconds=REACH_SECONDS))
        except RPCError:
            return

    async def existence(self, run_id: UUID) -> Existence:
        """Raises Unavailable."""
        try:
            with unavailable(besides=RPCStatusCode.NOT_FOUND):
                described = await self._handle(run_id).describe(
                    rpc_timeout=timedelta(seconds=REACH_SECONDS)
                )
        except RPCError:
            return Existence.ABSENT
        is_open = described.status is WorkflowExecutionStatus.RUNNING
        return Existence.OPEN if is_open else Existence.CLOSED

    async def _ask(self, run_id: UUID) -> RunProgress | None:
        progress: RunProgress | None = None
        try:
            async with asyncio.timeout(QUERY_SECONDS):
                progress = await self._handle(run_id).query(
                    EvalRunWorkflow.progress,
                    reject_condition=QueryRejectCondition.NOT_OPEN,
                )
                progress = await self._with_what_it_waits_for(run_id, progress)
        except (
            *(TimeoutError, RPCError, WorkflowQueryFailedError, WorkflowQueryRejectedError),
            RuntimeError,  # what a lazy client raises that cannot connect
        ):
            pass  # The row is what is left to go by, and the caller has it.
        finally:
            asked = time.monotonic()
            self._seen = {
                run: seen for run, seen in self._seen.items() if asked - seen[0] < KEPT_SECONDS
            }
            self._seen[run_id] = (asked, progress)
            del self._asking[run_id]
        return progress

    async def _with_what_it_waits_for(self, run_id: UUID, progress: RunProgress) -> RunProgress:
        run = UnderWay(run_id, progress.open_batches)
        reason = await why_waiting(self._client, run, self._pairs_of_others)
        return replace(progress, activity=reason) if reason else progress

    def _handle(self, run_id: UUID) -> WorkflowHandle[EvalRunWorkflow, RunProgress]:
        return self._client.get_workflow_handle_for(
            EvalRunWorkflow.run, workflow_id=run_workflow_id(run_id)
        )
