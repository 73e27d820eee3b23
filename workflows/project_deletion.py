"""Deletes a project and everything in it, in the background."""

from datetime import timedelta
from typing import Final
from uuid import UUID

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.project_deletion import ProjectDeletion
    from core.temporal.client import PROJECT_DELETION_WORKFLOW
    from workflows.policies import BOOKKEEPING

_SETTLE: Final = timedelta(seconds=3)
"""Requests that began before the project was marked as deleted have ended after this time."""


@workflow.defn(name=PROJECT_DELETION_WORKFLOW)
class ProjectDeletionWorkflow:
    """The row of the project shows the progress to clients; the query shows it in Temporal."""

    def __init__(self) -> None:
        self._deleted_rows = 0

    @workflow.run
    async def run(self, project_id: UUID, deleted_rows: int = 0) -> int:
        """Returns the number of deleted rows. `deleted_rows`: the number that previous executions
        deleted.
        """
        self._deleted_rows = deleted_rows
        if deleted_rows == 0:
            if not await workflow.execute_activity_method(
                ProjectDeletion.mark, project_id, **BOOKKEEPING
            ):
                return 0
            await workflow.sleep(_SETTLE)
        while count := await workflow.execute_activity_method(
            ProjectDeletion.delete_rows, project_id, **BOOKKEEPING
        ):
            self._deleted_rows += count
            workflow.set_current_details(f"{self._deleted_rows:,} rows deleted")
            if workflow.info().is_continue_as_new_suggested():
                workflow.continue_as_new(args=[project_id, self._deleted_rows])
        await workflow.execute_activity_method(ProjectDeletion.finish, project_id, **BOOKKEEPING)
        return self._deleted_rows

    @workflow.query
    def progress(self) -> int:
        """The number of rows deleted so far."""
        return self._deleted_rows
