"""Whether judging may go on: asked before each question and while it is open."""

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

from sqlalchemy.exc import SQLAlchemyError

from core.database import Database
from core.ids import ProjectId
from core.queries import runs

FRESH_SECONDS = 1.0
LOOK_SECONDS = 0.5


class RunClosed(Exception):
    """The run was cancelled, deleted or has ended: nothing more is judged for it."""


class Gate:
    """At most one look into the store a second and run, however many pairs ask."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._seen: dict[UUID, float] = {}
        self._looks: dict[UUID, asyncio.Task[bool]] = {}
        self._open: defaultdict[UUID, set[asyncio.Timeout]] = defaultdict(set)
        self._watches: dict[UUID, asyncio.Task[None]] = {}

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

    @asynccontextmanager
    async def held_open(self, project_id: ProjectId, run_id: UUID) -> AsyncIterator[None]:
        """Ends the block, too, with RunClosed when the run is cancelled meanwhile.

        One question may take several calls, and minutes: Temporal's own cancel comes
        with a heartbeat, which is seconds too late for the next of them.
        """
        await self.pass_through(project_id, run_id)
        limit = asyncio.timeout(None)
        self._open[run_id].add(limit)
        if run_id not in self._watches:
            self._watches[run_id] = asyncio.create_task(self._watch(project_id, run_id))
        try:
            async with limit:
                yield
        except TimeoutError:
            if not limit.expired():
                raise
            raise RunClosed from None
        finally:
            self._open[run_id].discard(limit)
            if not self._open[run_id]:
                del self._open[run_id]
                self._watches.pop(run_id).cancel()

    async def _watch(self, project_id: ProjectId, run_id: UUID) -> None:
        """For as long as questions of the run are open."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                await self.pass_through(project_id, run_id)
            except RunClosed:
                break
            except (SQLAlchemyError, OSError):
                # A store that cannot be read says nothing; what was asked may be answered.
                continue
        for limit in self._open[run_id]:
            limit.reschedule(asyncio.get_running_loop().time())

    async def _look(self, project_id: ProjectId, run_id: UUID) -> bool:
        asked_at = time.monotonic()
        try:
            async with self._database.read_once() as db:
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
