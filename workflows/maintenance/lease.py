"""Periodic work that one worker at a time does for all workers."""

from collections.abc import Awaitable, Callable
from typing import Final

from core.db.database import Database
from core.queries import leases

LEASE_SECONDS: Final = 15.0
"""Another worker replaces a killed holder after this long. Longer than the pause between two
rounds.
"""


Work = Callable[[], Awaitable[None]]


def leased(database: Database, name: str, holder: str, work: Work) -> Work:
    """Wraps the work so that this worker does it only while it holds the lease `name`."""

    async def run() -> None:
        held = await database.write_at_once(
            lambda db: leases.acquire(db, name, holder, seconds=LEASE_SECONDS)
        )
        if held:
            await work()

    return run
