"""Describes what a run of the previous release waits for, on its page in Temporal."""

from datetime import datetime
from uuid import UUID

from sqlalchemy.exc import SQLAlchemyError
from temporalio import activity

from core import clock
from core.db.database import Database
from core.queries import run_pairs, workers
from core.temporal.pending import WHY_WAITING, OpenBatches
from core.temporal.run_activity import PairsOfOthers, SilentWorkers, describe_wait


class Diagnostics:
    def __init__(self, database: Database) -> None:
        self._pairs_of_others = pairs_of_others(database)

    @activity.defn(name=WHY_WAITING)
    async def why_waiting(self, run: OpenBatches) -> str | None:
        """Reads the pending activities of the run, which a workflow cannot do itself."""
        return await describe_wait(activity.client(), run.run_id, self._pairs_of_others)


def silent_workers(database: Database) -> SilentWorkers:
    async def read() -> dict[str, datetime]:
        """None if the store cannot be read."""
        try:
            async with database.read() as db:
                found = await workers.lives(db)
        except (SQLAlchemyError, OSError):
            return {}
        now = clock.now()
        return {life.worker_id: life.last_seen for life in found if life.is_silent(now)}

    return read


def pairs_of_others(database: Database) -> PairsOfOthers:
    async def count(run_id: UUID) -> int:
        """The number; 0 if the store cannot be read. The sentence then omits the number."""
        try:
            async with database.read() as db:
                return await run_pairs.left_in_others(db, run_id)
        except (SQLAlchemyError, OSError):
            return 0

    return count
