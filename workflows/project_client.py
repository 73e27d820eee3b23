"""Starts the deletion of a project from outside a workflow."""

from datetime import timedelta
from uuid import UUID

from temporalio.client import Client
from temporalio.common import WorkflowIDConflictPolicy

from core.temporal.client import REACH_SECONDS, unavailable
from workflows.project_deletion import ProjectDeletionWorkflow


class ProjectDeletions:
    def __init__(self, client: Client, *, task_queue: str) -> None:
        self._client = client
        self._task_queue = task_queue

    async def start(self, project_id: UUID) -> None:
        """No effect if a deletion is already open. Raises Unavailable."""
        with unavailable():
            await self._client.start_workflow(
                ProjectDeletionWorkflow.run,
                project_id,
                id=f"project-deletion-{project_id}",
                task_queue=self._task_queue,
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                rpc_timeout=timedelta(seconds=REACH_SECONDS),
                static_summary=f"Delete project {project_id}",
            )
