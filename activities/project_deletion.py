"""Deletes a project in idempotent steps."""

import time
from typing import Final
from uuid import UUID

from temporalio import activity

from activities.error_translation import translate_errors
from core.db.database import Database
from core.errors import NotFound
from core.ids import ProjectId
from core.queries import project_content, projects
from core.run_ending import ending

STEP_SECONDS: Final = 10.0
"""How long one activity deletes; much shorter than its time-out."""


class ProjectDeletion:
    def __init__(self, database: Database) -> None:
        self._database = database

    @activity.defn(name="mark_project_deleted")
    @translate_errors
    async def mark(self, project_id: UUID) -> bool:
        """Marks the project as deleted; False if it no longer exists. Idempotent."""
        try:
            async with ending(self._database, ProjectId(project_id)) as db:
                await projects.mark_deleted(db, project_id)
        except NotFound:
            return False
        return True

    @activity.defn(name="delete_project_rows")
    @translate_errors
    async def delete_rows(self, project_id: UUID) -> int:
        """Deletes rows for a few seconds, and returns their number; 0 if no row is left.
        Idempotent.

        Uses many short transactions, so that writers of other projects get their turn.
        """
        deleted = 0
        ends_at = time.monotonic() + STEP_SECONDS
        while time.monotonic() < ends_at:
            async with self._database.write() as db:
                count = await project_content.delete_some(db, ProjectId(project_id))
            if count == 0:
                break
            deleted += count
        return deleted

    @activity.defn(name="finish_project_deletion")
    @translate_errors
    async def finish(self, project_id: UUID) -> None:
        """Idempotent. Fails, to be retried, while the project has rows."""
        async with self._database.write() as db:
            await projects.remove_empty(db, project_id)
