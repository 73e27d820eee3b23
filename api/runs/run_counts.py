"""The numbers of unfinished runs, for scrapes of `/metrics`."""

from collections.abc import Mapping
from typing import Final

from cachetools import TTLCache
from sqlalchemy.exc import SQLAlchemyError

from core.db.database import Database
from core.queries.run_counts import count_unfinished
from core.single_flight import SingleFlight

KEPT_SECONDS: Final = 5.0


class RunCounts:
    """Reads the counts at most once per `KEPT_SECONDS`, because anyone may request `/metrics`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._kept: TTLCache[None, Mapping[str, int]] = TTLCache(1, KEPT_SECONDS)
        self._reads: SingleFlight[None, Mapping[str, int]] = SingleFlight()

    async def unfinished(self) -> Mapping[str, int]:
        """The counts by state; empty if the database cannot be read."""
        if (known := self._kept.get(None)) is not None:
            return known
        return await self._reads.join(None, self._read)

    async def _read(self) -> Mapping[str, int]:
        counts: Mapping[str, int] = {}
        try:
            async with self._database.read() as db:
                counts = await count_unfinished(db)
        except (SQLAlchemyError, OSError):
            pass
        self._kept[None] = counts
        return counts
