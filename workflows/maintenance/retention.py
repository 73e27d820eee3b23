"""Keeps the schedule of the deletion by age in line with the settings and projects."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from core.db.database import Database
from core.periodic import repeating
from core.queries import expired_rows
from core.retention import RetentionDays
from core.temporal.process_identity import process_identity
from core.temporal.retention_schedule import RetentionSchedule
from workflows.maintenance.lease import leased

SYNC_SECONDS: Final = 60.0


@asynccontextmanager
async def scheduling_retention(
    database: Database, schedule: RetentionSchedule, days: RetentionDays
) -> AsyncIterator[None]:
    """Syncs at once and then periodically while the block runs, in one worker at a time."""

    async def sync() -> None:
        await sync_retention(database, schedule, days)

    once = leased(database, "retention-schedule", process_identity(), sync)
    async with repeating(once, every=SYNC_SECONDS, at_once=True):
        yield


async def sync_retention(
    database: Database, schedule: RetentionSchedule, days: RetentionDays
) -> None:
    """Creates the schedule if anything is deleted by age, else removes it. Raises Unavailable."""
    async with database.read() as db:
        wanted = await expired_rows.is_wanted(db, days)
    await (schedule.put() if wanted else schedule.remove())
