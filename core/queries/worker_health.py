"""`python -m core.queries.worker_health`: exit code 0 while a worker of this machine serves.

The health check of a container uses it, because the port of a worker is off by default.
"""

import asyncio
import socket
import sys

from sqlalchemy import select
from sqlmodel import col

from core import clock
from core.db.database import Database
from core.db.tables import Worker
from core.queries.workers import REPORTED_WITHIN_SECONDS, polls
from core.settings import Settings
from core.temporal.process_identity import is_running


async def is_alive(database: Database) -> bool:
    async with database.read() as db:
        reporting = await db.scalars(
            select(col(Worker.id)).where(
                col(Worker.id).endswith(f"@{socket.gethostname()}", autoescape=True),
                col(Worker.last_seen) >= clock.seconds_ago(REPORTED_WITHIN_SECONDS),
                # A worker that does not poll Temporal takes no work, even if it is alive.
                polls(),
            )
        )
        # The last report of a killed worker says nothing about its successor.
        return any(is_running(worker_id) for worker_id in reporting)


async def main() -> bool:
    database = Database(Settings().database)
    try:
        return await is_alive(database)
    finally:
        await database.close()


if __name__ == "__main__":
    sys.exit(0 if asyncio.run(main()) else 1)
