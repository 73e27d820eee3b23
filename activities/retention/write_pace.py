"""Short transactions that leave most of the database's time to others."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from core.db.database import Database, Writer

T = TypeVar("T")

MAX_HELD_SECONDS: Final = 0.05
"""How long one transaction should keep other writers waiting, on SQLite all of them."""

TARGET_SECONDS: Final = MAX_HELD_SECONDS / 2
"""For the statements of a transaction; leaves room for the commit, which waits for the disk."""

MAX_SHARE: Final = 0.25
"""Share of the time in which a sweep writes."""

MAX_PAUSE_SECONDS: Final = 1.0
MIN_ROWS: Final = 200
MAX_ROWS: Final = 2_000


class WritePace:
    """Adapts the number of rows per transaction to what the database can do.

    `rows` is the number for the next transaction, `longest` the longest time that one has taken.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self.rows = MIN_ROWS
        self.longest = 0.0

    async def write(self, work: Callable[[Writer], Awaitable[T]]) -> T:
        """The result of `work`, once it is committed; then others have the database for a while.

        `work` awaits nothing but its session.
        """
        began = ended = 0.0

        async def timed(db: Writer) -> T:
            nonlocal began, ended
            # Now, because the transaction may have waited for another one.
            began = time.perf_counter()
            made = await work(db)
            ended = time.perf_counter()
            return made

        made = await self._database.write_at_once(timed)
        held = time.perf_counter() - began
        self.longest = max(self.longest, held)
        # Without the commit, which takes as long for few rows. Grows slowly and shrinks at once.
        growth = min(TARGET_SECONDS / max(ended - began, 1e-6), 1.5)
        self.rows = round(min(MAX_ROWS, max(MIN_ROWS, self.rows * growth)))
        await asyncio.sleep(min(MAX_PAUSE_SECONDS, held * (1 / MAX_SHARE - 1)))
        return made
