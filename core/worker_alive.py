"""`python -m core.worker_alive`: exit code 0 while a worker of this machine tells it is there.

What a container's health check asks: a worker serves no port that could be asked.
"""

import asyncio
import socket
import sys
from datetime import timedelta

from sqlalchemy import func, select
from sqlmodel import col

from core import clock
from core.database import Database
from core.settings import Settings
from core.tables import Worker

# Workers publish every 30 seconds.
SILENCE = timedelta(seconds=90)


async def is_alive(database: Database, host: str) -> bool:
    async with database.read() as db:
        seen = select(func.count()).where(
            col(Worker.id).endswith(f"@{host}", autoescape=True),
            col(Worker.last_seen) >= clock.now() - SILENCE,
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
