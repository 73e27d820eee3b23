"""Starts comparisons from outside a workflow."""

import contextlib
from datetime import timedelta
from uuid import UUID

from temporalio.client import Client
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError

from core.temporal.client import REACH_SECONDS, unavailable
from workflows.comparison import ComparisonWorkflow


class ComparisonClient:
    def __init__(self, client: Client, *, task_queue: str) -> None:
        self._client = client
        self._task_queue = task_queue

    async def start(self, project_id: UUID, comparison_id: UUID) -> None:
        """No effect on a comparison that was already started. Raises Unavailable."""
        with unavailable(), contextlib.suppress(WorkflowAlreadyStartedError):
            await self._client.start_workflow(
                ComparisonWorkflow.run,
                args=[project_id, comparison_id],
                id=f"comparison-{comparison_id}",
                task_queue=self._task_queue,
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                rpc_timeout=timedelta(seconds=REACH_SECONDS),
                static_summary=f"Comparison {comparison_id}",
            )
