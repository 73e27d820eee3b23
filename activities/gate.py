"""Whether judging may go on: asked before each judge call, answered from memory mostly."""

import asyncio
import time
from uuid import UUID

from core.database import Database
from core.ids import ProjectId
from core.queries import runs

FRESH_SECONDS = 1.0


class RunClosed(Exception):
    """The run was cancelled, deleted or has ended: nothing more is judged for it."""


class Gate:
    """At most one look into the store a second and run, however many pairs ask."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._seen: dict[UUID, float] = {}
        self._looks: dict[UUID, asyncio.Task[bool]] = {}

    async def pass_through(self, project_id: ProjectId, run_id: UUID) -> None:
        """Raises RunClosed at most `FRESH_SECONDS` after the run was cancelled."""
        if time.monotonic() - self._seen.get(run_id, -FRESH_SECONDS) < FRESH_SECONDS:
            return
        look = self._looks.get(run_id)
        if look is None:
            look = asyncio.create_task(self._look(project_id, run_id))
            self._looks[run_id] = look
        # Shielded: one asker that is cancelled must not take the others along.
        if not await asyncio.shield(look):
            raise RunClosed

    async def _look(self, project_id: ProjectId, run_id: UUID) -> bool:
        asked_at = time.monotonic()
        try:
            async with self._database.read() as db:
                is_open = await runs.is_open(db, project_id, run_id)
            # Rebuilt rather than added to: runs come and go for as long as the worker lives.
            self._seen = {
                run: at for run, at in self._seen.items() if asked_at - at < FRESH_SECONDS
            }
            if is_open:
                self._seen[run_id] = asked_at
            return is_open
        finally:
            del self._looks[run_id]
