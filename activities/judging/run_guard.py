"""Stops judging when a run is closed: checks the run before and during each question."""

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final
from uuid import UUID

from sqlalchemy.exc import SQLAlchemyError

from core.db.database import Database
from core.ids import ProjectId
from core.queries import open_runs
from core.single_flight import SingleFlight

CHECK_SECONDS: Final = 1.0
"""A run counts as open for this long after a check."""

RETRY_SECONDS: Final = 0.5
"""Pause between checks while a question of the run is open and the store cannot be read."""


class RunClosed(Exception):
    """The run was cancelled or deleted, or has ended; its remaining pairs are not judged."""


class RunGuard:
    """Reads the store at most once per second per run, for any number of pairs."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._seen: dict[UUID, float] = {}
        self._budgeted: set[UUID] = set()
        self._reads: SingleFlight[UUID, bool] = SingleFlight()
        self._open: defaultdict[UUID, set[asyncio.Timeout]] = defaultdict(set)
        self._watches: dict[UUID, asyncio.Task[None]] = {}

    async def check(self, project_id: ProjectId, run_id: UUID) -> None:
        """Raises RunClosed, at most `CHECK_SECONDS` after the run was cancelled."""
        if self._still_valid(run_id):
            return
        if not await self._reads.join(run_id, lambda: self._read(project_id, run_id)):
            raise RunClosed

    def has_monthly_budget(self, run_id: UUID) -> bool:
        """Whether the project of the run had a monthly budget at the last check."""
        return run_id in self._budgeted

    @asynccontextmanager
    async def cancel_on_close(self, project_id: ProjectId, run_id: UUID) -> AsyncIterator[None]:
        """Cancels the block and raises RunClosed if the run is closed during the block.

        A question may take several calls and minutes. Temporal's cancellation arrives with a
        heartbeat, too late to prevent the next call.
        """
        await self.check(project_id, run_id)
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
        """Runs while questions of the run are open."""
        while True:
            # Not a regular pause: together with the age of the last check, it could reach 1.5 s.
            await asyncio.sleep(self._still_valid(run_id) or RETRY_SECONDS)
            try:
                await self.check(project_id, run_id)
            except RunClosed:
                break
            except (SQLAlchemyError, OSError):
                # While the store cannot be read, the state of the run is unknown, and open
                # questions continue.
                continue
        for limit in self._open[run_id]:
            limit.reschedule(asyncio.get_running_loop().time())

    def _still_valid(self, run_id: UUID) -> float:
        """For how many seconds the last check is valid."""
        checked_at = self._seen.get(run_id, -CHECK_SECONDS)
        return max(0.0, checked_at + CHECK_SECONDS - time.monotonic())

    async def _read(self, project_id: ProjectId, run_id: UUID) -> bool:
        asked_at = time.monotonic()
        open_run = await self._database.read_at_once(
            lambda db: open_runs.find_open(db, project_id, run_id), one_statement=True
        )
        # Replaces the whole set, so that ended runs are dropped.
        self._seen = {run: at for run, at in self._seen.items() if asked_at - at < CHECK_SECONDS}
        self._budgeted &= self._seen.keys()
        if open_run is not None:
            self._seen[run_id] = asked_at
            if open_run.has_monthly_budget:
                self._budgeted.add(run_id)
        return open_run is not None
