"""Operations on runs that only a worker performs from outside a workflow."""

from datetime import timedelta
from uuid import UUID

from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from core.temporal.client import REACH_SECONDS, unavailable
from core.temporal.pending import WORKER_LOST, PendingActivity
from workflows.eval_run import EvalRunWorkflow
from workflows.run_client import EvalRunClient


class MaintenanceClient(EvalRunClient):
    async def show_wait(self, run_id: UUID, sentence: str | None) -> None:
        """Shows the sentence on the page of the run's workflow. Raises Unavailable."""
        try:
            with unavailable(besides=RPCStatusCode.NOT_FOUND):
                await self.handle(run_id).signal(
                    EvalRunWorkflow.waits_for,
                    sentence,
                    rpc_timeout=timedelta(seconds=REACH_SECONDS),
                )
        except RPCError:
            return

    async def fail_attempt(self, pending: PendingActivity, reason: str) -> None:
        """Reports the open attempt as failed; Temporal begins another one. Raises Unavailable."""
        handle = self.client.get_async_activity_handle(
            workflow_id=pending.workflow_id, run_id=None, activity_id=pending.activity_id
        )
        try:
            with unavailable(besides=RPCStatusCode.NOT_FOUND):
                await handle.fail(
                    ApplicationError(reason, type=WORKER_LOST),
                    rpc_timeout=timedelta(seconds=REACH_SECONDS),
                )
        except RPCError:
            return  # The attempt has ended meanwhile.

    async def terminate(self, run_id: UUID, *, reason: str) -> None:
        """Terminates the workflow and its batches. Raises Unavailable."""
        try:
            with unavailable(besides=RPCStatusCode.NOT_FOUND):
                await self.handle(run_id).terminate(
                    reason=reason, rpc_timeout=timedelta(seconds=REACH_SECONDS)
                )
        except RPCError:
            return
