"""Deletes entries of the audit log after the configured number of days."""

from typing import Final

from core.db.database import Database
from core.queries import audit

PRUNE_SECONDS: Final = 300.0


async def prune(database: Database, older_than_days: int) -> None:
    """Deletes in short transactions until no old entry is left."""
    while True:
        async with database.write() as db:
            if not await audit.prune(db, older_than_days=older_than_days):
                return
