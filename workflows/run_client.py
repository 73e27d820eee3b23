"""Starts, queries and cancels runs from outside a workflow."""

import asyncio
import contextlib
import time
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from cachetools import LRUCache
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

from activities.payloads import OpenPairs
from core.concurrency import cancel_and_wait, raise_if_cancelled
from core.errors import Unavailable
from core.run_spec import RunSpec
from core.single_flight import SingleFlight
from core.temporal.client import REACH_SECONDS, namespace_of, run_workflow_id, unavailable
from core.temporal.pending import PendingActivity, read_pending
from core.temporal.run_activity import PairsOfOthers, SilentWorkers, describe_wait
from workflows.eval_run import EvalRunWorkflow
from workflows.inputs import EvalRunInput, RunProgress
from workflows.policies import Limits
from workflows.start_options import run_input, run_options
from workflows.workflow_state import WorkflowState

QUERY_SECONDS: Final = 2.0
"""Time-out of one query. Several callers may share the query; each caller has its own time-out."""

FRESH_SECONDS: Final = 1.0
"""Progress up to this age is returned without another query."""

STALE_SECONDS: Final = 2.0
"""Progress up to this age is returned while the next query is open."""

HANDLE_SECONDS: Final = 0.5
"""How long to wait for the handle of a failed start."""

MAX_CLOSED: Final = 10_000
MAX_WAITS_IN_VAIN: Final = 3
SLOW_SECONDS: Final = 5.0
"""After this many waits without an answer, callers do not wait for `SLOW_SECONDS`."""

REVALIDATE_SECONDS: Final = 0.02
"""How long a caller waits for the query before it accepts stale progress."""


class EvalRunClient:
    """The runs of one Temporal namespace."""

    def __init__(
        self,
        client: Client,
        *,
        task_queue: str,
        pairs_of_others: PairsOfOthers | None = None,
        silent_workers: SilentWorkers | None = None,
    ) -> None:
        self.client = client
        self.task_queue = task_queue
        self._pairs_of_others = pairs_of_others
        self._silent_workers = silent_workers
        self._seen: dict[UUID, tuple[float, RunProgress | None]] = {}
        self._queries: SingleFlight[UUID, RunProgress | None] = SingleFlight(finish_unused=True)
        self._reached_at = self._waited_at = -STALE_SECONDS
        self._polled_at = -FRESH_SECONDS
        self._waits_in_vain = 0
        self._waits: LRUCache[UUID, str | None] = LRUCache(MAX_CLOSED)
        self._closed: LRUCache[UUID, None] = LRUCache(MAX_CLOSED)
        self._counts: LRUCache[UUID, tuple[int, int]] = LRUCache(MAX_CLOSED)
        self._namespace: str | None = None

    async def check_reachable(self) -> None:
        """Raises Unavailable. A success is remembered for `FRESH_SECONDS`."""
        if time.monotonic() - self._reached_at < FRESH_SECONDS:
            return
        with unavailable():
            async with asyncio.timeout(REACH_SECONDS):
                serving = await self.client.service_client.check_health()
        if not serving:
            raise Unavailable("Temporal", "It does not serve yet; try again in a moment.")
        self._reached_at = time.monotonic()

    async def namespace(self) -> str:
        """The namespace for the rows of runs that this client starts.

        Read from Temporal once. Raises Unavailable.
        """
        if self._namespace is None:
            self._namespace = await namespace_of(self.client)
        return self._namespace

    async def start(
        self,
        spec: RunSpec,
        *,
        wait_seconds: float,
        limits: Limits | None = None,
        open_pairs: OpenPairs | None = None,
    ) -> RunProgress | None:
        """Starts the run's workflow, and waits up to `wait_seconds` for its targets.

        `open_pairs`: the pairs to judge, if already known.

        Returns None if the run is started, but no worker has answered yet. No effect on a run that
        was already started. Raises Unavailable; even then the workflow may exist.
        """
        request = run_input(spec, limits=limits, open_pairs=open_pairs)
        options = run_options(spec, self.task_queue)
        with unavailable():
            if wait_seconds > 0 and not self._is_slow():
                progress = await self._start_and_wait(request, options, wait_seconds)
                self._waits_in_vain = 0 if progress else self._waits_in_vain + 1
                if progress is not None:
                    return progress
                self._waited_at = time.monotonic()
            # Starts again: after a time-out it is unknown whether Temporal received the start.
            with contextlib.suppress(WorkflowAlreadyStartedError):
                await self.client.start_workflow(
                    EvalRunWorkflow.run,
                    request,
                    id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                    rpc_timeout=timedelta(seconds=REACH_SECONDS),
                    **options,
                )
        return None

    def _is_slow(self) -> bool:
        """Whether recent waits got no answer, so that another wait is unlikely to get one."""
        recently = time.monotonic() - self._waited_at < SLOW_SECONDS
        return recently and self._waits_in_vain >= MAX_WAITS_IN_VAIN

    async def _start_and_wait(
        self, request: EvalRunInput, options: dict[str, Any], wait_seconds: float
    ) -> RunProgress | None:
        operation = WithStartWorkflowOperation(
            EvalRunWorkflow.run,
            request,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            **options,
        )
        try:
            async with asyncio.timeout(wait_seconds):
                return await self.client.execute_update_with_start_workflow(
                    EvalRunWorkflow.resolved,
                    start_workflow_operation=operation,
                    id=f"{request.spec.run_id}-resolved",
                    rpc_timeout=timedelta(seconds=wait_seconds),
                )
        except (TimeoutError, WorkflowUpdateRPCTimeoutOrCancelledError, WorkflowUpdateFailedError):
            # The SDK replaces a cancellation of the caller by its own error, too.
            raise_if_cancelled()
            return None
        finally:
            # Keeps asyncio from reporting the handle's error as never retrieved. Has a time-out,
            # because the SDK never sets the handle after some errors.
            handle = asyncio.ensure_future(operation.workflow_handle())
            try:
                await asyncio.wait([handle], timeout=HANDLE_SECONDS)
            finally:
                await cancel_and_wait(handle)

    async def progress(self, run_id: UUID) -> RunProgress | None:
        """None if no worker answers in time or the workflow is not open.

        Concurrent callers share one query, because the server buffers only one query during a
        workflow task. While busy workers delay the next answer, callers get the previous one.
        """
        at, known = self._seen.get(run_id, (-STALE_SECONDS, None))
        age = time.monotonic() - at
        if age < FRESH_SECONDS:
            return known
        query = self._queries.join(run_id, lambda: self._ask(run_id))
        if age >= STALE_SECONDS:
            return await query
        try:
            async with asyncio.timeout(REVALIDATE_SECONDS):
                return await query
        except TimeoutError:
            return known

    def why_silent(self, run_id: UUID) -> str | None:
        """What the run waited for when the last query got no answer."""
        return self._waits.get(run_id)

    def last_counts(self, run_id: UUID) -> tuple[int, int]:
        """Evaluated targets and failed pairs in the last answer, which may be old."""
        return self._counts.get(run_id, (0, 0))

    def is_closed(self, run_id: UUID) -> bool:
        """Whether a query found the workflow closed."""
        return run_id in self._closed

    async def describe_wait(self, run_id: UUID) -> str | None:
        """What the run waits for; None if the run makes progress, or if the reason is unknown.

        Needs no worker, because Temporal itself knows the pending activities.
        """
        try:
            async with asyncio.timeout(QUERY_SECONDS):
                return await describe_wait(
                    self.client, run_id, self._pairs_of_others, self._silent_workers
                )
        except (TimeoutError, RPCError, RuntimeError):
            return None

    async def pending_activities(self, run_id: UUID) -> list[PendingActivity]:
        """Those of the run and its batches; empty without a workflow. Raises Unavailable."""
        try:
            with unavailable(besides=RPCStatusCode.NOT_FOUND):
                return (await read_pending(self.client, run_id)).activities
        except RPCError:
            return []

    async def is_polled(self, *, within_seconds: float) -> bool:
        """Whether a worker polled recently; remembers True for a while. Raises Unavailable."""
        if time.monotonic() - self._polled_at < FRESH_SECONDS:
            return True
        polled = bool(await self.pollers(within_seconds=within_seconds))
        if polled:
            self._polled_at = time.monotonic()
        return polled

    async def pollers(self, *, within_seconds: float) -> set[str]:
        """Identities of the workers that polled the task queue recently. Raises Unavailable."""
        with unavailable():
            async with asyncio.timeout(within_seconds):
                described = await self.client.workflow_service.describe_task_queue(
                    DescribeTaskQueueRequest(
                        namespace=self.client.namespace,
                        task_queue=TaskQueue(name=self.task_queue),
                        task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
                    )
                )
        return {poller.identity for poller in described.pollers}

    async def cancel(self, run_id: UUID) -> None:
        """No effect if the workflow is closed or was never started. Raises Unavailable."""
        with contextlib.suppress(RPCError), unavailable(besides=RPCStatusCode.NOT_FOUND):
            await self.handle(run_id).cancel(rpc_timeout=timedelta(seconds=REACH_SECONDS))

    async def resume(self, run_id: UUID) -> None:
        """No effect if the workflow is closed or was never started. Raises Unavailable."""
        with contextlib.suppress(RPCError), unavailable(besides=RPCStatusCode.NOT_FOUND):
            await self.handle(run_id).signal(
                EvalRunWorkflow.resume, rpc_timeout=timedelta(seconds=REACH_SECONDS)
            )

    async def existence(self, run_id: UUID) -> WorkflowState:
        """Raises Unavailable."""
        try:
            with unavailable(besides=RPCStatusCode.NOT_FOUND):
                described = await self.handle(run_id).describe(
                    rpc_timeout=timedelta(seconds=REACH_SECONDS)
                )
        except RPCError:
            return WorkflowState.ABSENT
        is_open = described.status is WorkflowExecutionStatus.RUNNING
        return WorkflowState.OPEN if is_open else WorkflowState.CLOSED

    async def _ask(self, run_id: UUID) -> RunProgress | None:
        waiting = asyncio.create_task(self.describe_wait(run_id))
        self._waits[run_id] = None
        progress: RunProgress | None = None
        try:
            async with asyncio.timeout(QUERY_SECONDS):
                progress = await self.handle(run_id).query(
                    EvalRunWorkflow.progress,
                    reject_condition=QueryRejectCondition.NOT_OPEN,
                )
                # Shielded: its own time-out ends it, and this one must not cancel it.
                reason = await asyncio.shield(waiting)
                if reason:
                    progress = replace(progress, activity=reason)
        except WorkflowQueryRejectedError:
            self._closed[run_id] = None
        except (
            *(TimeoutError, RPCError, WorkflowQueryFailedError),
            ValueError,  # the answer of a newer worker may not decode here
            RuntimeError,  # raised by a lazy client that cannot connect
        ):
            pass  # The caller falls back to the row.
            # The reason for the missing answer, if Temporal knows it.
            self._waits[run_id] = await waiting
        finally:
            waiting.cancel()
            asked = time.monotonic()
            self._seen = {
                run: seen for run, seen in self._seen.items() if asked - seen[0] < STALE_SECONDS
            }
            self._seen[run_id] = (asked, progress)
            if progress:
                self._counts[run_id] = (progress.evaluated_count, progress.failed_count)
        return progress

    def handle(self, run_id: UUID) -> WorkflowHandle[EvalRunWorkflow, RunProgress]:
        return self.client.get_workflow_handle_for(
            EvalRunWorkflow.run, workflow_id=run_workflow_id(run_id)
        )
