"""Reconciles monitors with their schedules."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from core.db.database import Database
from core.periodic import repeating
from core.temporal.process_identity import process_identity
from core.temporal.schedule_sync import ScheduleSync
from workflows.maintenance.lease import leased

SYNC_SECONDS: Final = 30.0


@asynccontextmanager
async def syncing_schedules(database: Database, schedules: ScheduleSync) -> AsyncIterator[None]:
    """Reconciles at once and then periodically while the block runs, in one worker at a time."""

    async def sync() -> None:
        await schedules.sync_pending()
        await schedules.reconcile()

    once = leased(database, "schedules", process_identity(), sync)
    async with repeating(once, every=SYNC_SECONDS, at_once=True):
        yield
