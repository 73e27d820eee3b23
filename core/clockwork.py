"""Rows of monitors and their schedules kept together. The row is the truth."""

import asyncio
import logging
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final, Protocol
from uuid import UUID

from core import clock
from core.database import Database
from core.errors import Unavailable
from core.ids import MonitorStatus
from core.queries import monitors
from core.schedules import MonitorClock, Seen
from core.tables import EvalMonitor

ANSWER_SECONDS: Final = 1.6
"""How long a read waits for Temporal: it must be answered within two."""

_AT_ONCE: Final = 20
_REFUSALS: Final = 3

log = logging.getLogger(__name__)


class ScheduleKeeper(Protocol):
    """`core.schedules.Schedules`, as far as it is needed here."""

    async def put(self, clock: MonitorClock) -> None: ...
    async def remove(self, monitor_id: UUID) -> None: ...
    async def next_run(self, monitor_id: UUID) -> datetime | None: ...
    async def listed(self) -> dict[UUID, Seen]: ...


class Clockwork:
    def __init__(self, database: Database, schedules: ScheduleKeeper) -> None:
        self._database = database
        self._schedules = schedules

    async def follow(self, monitor_id: UUID) -> None:
        """Makes the schedule what the row says it should be, or removes it. Raises Unavailable.

        Of several that do so at once the last to reach Temporal looks at the row
        again afterwards, so that the newest row wins.
        """
        wanted = await self._wanted(monitor_id)
        while True:
            if wanted is None:
                await self._schedules.remove(monitor_id)
            else:
                await self._schedules.put(wanted)
            told, wanted = wanted, await self._wanted(monitor_id)
            if told == wanted:
                break
        if wanted is None:
            return
        at = await self._schedules.next_run(monitor_id)
        async with self._database.write() as db:
            await monitors.mark_told(db, monitor_id, revision=wanted.revision, next_run_at=at)

    async def try_to_follow(self, monitor_id: UUID) -> None:
        """Like `follow`; what does not reach Temporal now, a worker tells it later."""
        try:
            await self.follow(monitor_id)
        except Unavailable:
            log.warning(
                "The schedule of monitor %s will be told later: Temporal is away", monitor_id
            )

    async def next_runs(self, rows: Sequence[EvalMonitor]) -> dict[UUID, datetime | None]:
        """As Temporal says now; what it last said where it does not answer in time."""
        known = {row.id: _last_known(row) for row in rows}
        turns = asyncio.Semaphore(_AT_ONCE)

        async def ask(row: EvalMonitor) -> None:
            async with turns:
                known[row.id] = await self._schedules.next_run(row.id)

        asking = [
            asyncio.create_task(ask(row)) for row in rows if row.status is MonitorStatus.ACTIVE
        ]
        if asking:
            await asyncio.wait(asking, timeout=ANSWER_SECONDS)
        for task in asking:
            task.cancel()
        for end in await asyncio.gather(*asking, return_exceptions=True):
            if isinstance(end, Exception) and not isinstance(end, Unavailable):
                raise end
        return known

    async def catch_up(self) -> None:
        """Tells schedules of changes they missed. Raises Unavailable."""
        async with self._database.read() as db:
            late = await monitors.untold(db, limit=200)
        await self._follow_all(late)

    async def reconcile(self) -> None:
        """Makes lost schedules, replaces stale ones, removes orphans. Raises Unavailable."""
        # In this order: the row of a schedule is older than the schedule.
        seen = await self._schedules.listed()
        async with self._database.read() as db:
            wanted = {row.id: MonitorClock.of(row) for row in await monitors.everyone(db)}
        parted = [id for id, want in wanted.items() if id not in seen or not seen[id].shows(want)]
        orphans = [id for id in seen if id not in wanted]
        if parted or orphans:
            log.info("Schedules: %d to bring up to date, %d orphans", len(parted), len(orphans))
        await self._follow_all([*parted, *orphans])

    async def _follow_all(self, monitor_ids: Iterable[UUID]) -> None:
        refused = 0
        for monitor_id in monitor_ids:
            try:
                await self.follow(monitor_id)
            except Unavailable as error:
                # One schedule that Temporal does not take must not hold up the others.
                log.warning("The schedule of monitor %s: %s", monitor_id, error.message)
                refused += 1
                if refused == _REFUSALS:
                    raise

    async def _wanted(self, monitor_id: UUID) -> MonitorClock | None:
        async with self._database.read() as db:
            row = await monitors.find(db, monitor_id)
        return None if row is None else MonitorClock.of(row)


def _last_known(row: EvalMonitor) -> datetime | None:
    """A moment that has passed, or that an older cadence named, is not when it runs next."""
    at = row.next_run_at
    current = row.status is MonitorStatus.ACTIVE and row.applied_revision == row.revision
    return at if current and at is not None and at > clock.now() else None
