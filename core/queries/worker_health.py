"""`python -m core.queries.worker_health`: exit code 0 while a worker of this machine serves.

The health check of a container uses it, because a worker has no port to probe.
"""

import asyncio
import socket
import sys
from datetime import timedelta

from sqlalchemy import func, select
from sqlmodel import col

from core import clock
from core.db.database import Database
from core.db.tables import Worker
from core.queries.workers import polls
from core.settings import Settings

# Workers publish every 30 seconds.
SILENCE = timedelta(seconds=90)


async def is_alive(database: Database, host: str) -> bool:
    async with database.read() as db:
        seen = select(func.count()).where(
            col(Worker.id).endswith(f"@{host}", autoescape=True),
            col(Worker.last_seen) >= clock.now() - SILENCE,
            # A worker that does not poll Temporal takes no work, even if it is alive.
            polls(),
        )
        return bool((await db.execute(seen)).scalar_one())


async def main() -> bool:
    database = Database(Settings().database)
    try:
        return await is_alive(database, socket.gethostname())
    finally:
        await database.close()


if __name__ == "__main__":
    sys.exit(0 if asyncio.run(main()) else 1)
