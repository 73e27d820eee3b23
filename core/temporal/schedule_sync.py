"""Keeps each monitor's Temporal schedule in line with its row. The row is the truth."""

import asyncio
import logging
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Final, Protocol
from uuid import UUID

from core import clock
from core.concurrency import cancel_and_wait
from core.db.database import Database
from core.errors import Unavailable
from core.ids import MonitorStatus
from core.queries import monitor_rows
from core.safe_text import sanitize
from core.temporal.schedules import DescribedSchedule, ListedSchedule, MonitorSchedule

if TYPE_CHECKING:
    from core.db.tables import EvalMonitor


ANSWER_SECONDS: Final = 1.6
"""How long a read waits for Temporal. The whole request must be answered within two seconds."""

_MAX_CONCURRENT_READS: Final = 20
_MAX_REFUSALS: Final = 3

MAX_NOTE: Final = 200
"""Maximum characters of the note with which a schedule was paused in Temporal."""

log = logging.getLogger(__name__)


class ScheduleKeeper(Protocol):
    """The methods of `core.temporal.schedules.Schedules` that this module uses."""

    async def put(self, monitor: MonitorSchedule) -> None: ...
    async def remove(self, monitor_id: UUID) -> None: ...
    async def described(self, monitor_id: UUID) -> DescribedSchedule | None: ...
    async def listed(self) -> dict[UUID, ListedSchedule]: ...


class ScheduleSync:
    def __init__(self, database: Database, schedules: ScheduleKeeper) -> None:
        self._database = database
        self._schedules = schedules

    async def sync(self, monitor_id: UUID) -> None:
        """Creates, replaces or removes the schedule to match the row.

        Raises Unavailable.

        Re-reads the row after updating Temporal and repeats if it changed, so that
        concurrent callers converge on the newest row.
        """
        wanted = await self._wanted(monitor_id)
        while True:
            if wanted is None:
                await self._schedules.remove(monitor_id)
            else:
                await self._schedules.put(wanted)
            applied, wanted = wanted, await self._wanted(monitor_id)
            if applied == wanted:
                break
        if wanted is None:
            return
        made = await self._schedules.described(monitor_id)
        at = made.next_run_at if made else None
        async with self._database.write() as db:
            await monitor_rows.mark_synced(db, monitor_id, revision=wanted.revision, next_run_at=at)

    async def sync_or_defer(self, monitor_id: UUID) -> None:
        """Like `sync`, but leaves the update to a worker while Temporal is unavailable."""
        try:
            await self.sync(monitor_id)
        except Unavailable:
            log.warning(
                "Temporal is unavailable; a worker will update the schedule of monitor %s later",
                monitor_id,
            )

    async def upcoming(
        self, rows: "Sequence[EvalMonitor]"
    ) -> "list[tuple[EvalMonitor, datetime | None]]":
        """Each monitor with its next due time, or the last known time if Temporal does not
        answer.

        Creates a schedule that was deleted in Temporal. A schedule that was paused there pauses its
        monitor; the result then has the changed row.
        """
        newest = {row.id: row for row in rows}
        known = {row.id: _last_known(row) for row in rows}
        slots = asyncio.Semaphore(_MAX_CONCURRENT_READS)

        async def ask(row: "EvalMonitor") -> None:
            async with slots:
                described = await self._schedules.described(row.id)
                if _should_run(row) and (described is None or described.paused):
                    newest[row.id] = await self._agree(row.id) or row
                    described = await self._schedules.described(row.id)
                known[row.id] = described.next_run_at if described else None
                if described is not None:
                    newest[row.id] = await self._with_skipped(newest[row.id], described)

        asking = [
            asyncio.create_task(ask(row)) for row in rows if row.status is MonitorStatus.ACTIVE
        ]
        if asking:
            await asyncio.wait(asking, timeout=ANSWER_SECONDS)
        await cancel_and_wait(*asking)
        for task in asking:
            error = None if task.cancelled() else task.exception()
            if error is not None and not isinstance(error, Unavailable):
                raise error
        return [(newest[row.id], known[row.id]) for row in rows]

    async def _with_skipped(
        self, row: "EvalMonitor", described: DescribedSchedule
    ) -> "EvalMonitor":
        """Stores the skipped due times of the schedule in the row, and returns the row."""
        outage, overlap = described.skipped_by_outage, described.skipped_by_overlap
        if (row.skipped_by_outage, row.skipped_by_overlap) == (outage, overlap):
            return row
        async with self._database.write() as db:
            kept = await monitor_rows.keep_skipped(db, row.id, by_outage=outage, by_overlap=overlap)
        return kept or row

    async def sync_pending(self) -> None:
        """Applies the changes that have not reached Temporal yet. Raises Unavailable."""
        async with self._database.read() as db:
            late = await monitor_rows.out_of_sync(db, limit=200)
        await self._sync_all(late)

    async def reconcile(self) -> None:
        """Creates missing schedules, replaces stale ones, removes orphans. Raises Unavailable.

        A pause in Temporal stays and pauses the monitor.
        """
        # Reads schedules before rows: each schedule was created after its row, so none can look
        # like an orphan.
        seen = await self._schedules.listed()
        async with self._database.read() as db:
            wanted = {row.id: MonitorSchedule.of(row) for row in await monitor_rows.everyone(db)}
        stale = [
            schedule_id
            for schedule_id, want in wanted.items()
            if schedule_id not in seen or not seen[schedule_id].matches(want)
        ]
        orphans = [schedule_id for schedule_id in seen if schedule_id not in wanted]
        if stale or orphans:
            log.info("Schedules: %d to update, %d orphans to remove", len(stale), len(orphans))
        await self._sync_all([*stale, *orphans])

    async def _sync_all(self, monitor_ids: Iterable[UUID]) -> None:
        refused = 0
        for monitor_id in monitor_ids:
            try:
                await self._agree(monitor_id)
            except Unavailable as error:
                # A schedule that Temporal refuses must not block the others.
                log.warning("The schedule of monitor %s: %s", monitor_id, error.message)
                refused += 1
                if refused == _MAX_REFUSALS:
                    raise

    async def _agree(self, monitor_id: UUID) -> "EvalMonitor | None":
        """Reconciles row and schedule, and returns the row. Raises Unavailable."""
        async with self._database.read() as db:
            row = await monitor_rows.find(db, monitor_id)
        if row is not None and _should_run(row):
            # Read directly, because the list of schedules is delayed: a resumed schedule may be
            # paused there.
            described = await self._schedules.described(monitor_id)
            if described is not None and described.paused:
                reason = _paused_by_hand(described)
                async with self._database.write() as db:
                    await monitor_rows.pause_unless_changed(db, row, reason)
        await self.sync(monitor_id)
        async with self._database.read() as db:
            return await monitor_rows.find(db, monitor_id)

    async def _wanted(self, monitor_id: UUID) -> MonitorSchedule | None:
        async with self._database.read() as db:
            row = await monitor_rows.find(db, monitor_id)
        return None if row is None else MonitorSchedule.of(row)


def _should_run(row: "EvalMonitor") -> bool:
    """Whether the schedule should be running: the row is active and in sync."""
    return row.status is MonitorStatus.ACTIVE and row.applied_revision == row.revision


def _paused_by_hand(described: DescribedSchedule) -> str:
    note = sanitize(described.note or "").strip()
    said = f" with the note {note[:MAX_NOTE]!r}" if note else ""
    return f"Its schedule was paused in Temporal{said}. Resume the monitor when it may run again."


def _last_known(row: "EvalMonitor") -> datetime | None:
    """None if the stored time has passed or belongs to an older cadence."""
    at = row.next_run_at
    current = row.status is MonitorStatus.ACTIVE and row.applied_revision == row.revision
    return at if current and at is not None and at > clock.now() else None
