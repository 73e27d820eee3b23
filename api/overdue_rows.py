"""How long expired rows have waited for their deletion, for scrapes of `/metrics`."""

from collections.abc import Mapping
from typing import Final

from cachetools import TTLCache
from sqlalchemy.exc import SQLAlchemyError

from core import clock
from core.db.database import Database
from core.queries import expired_rows
from core.retention import RetentionDays
from core.single_flight import SingleFlight

KEPT_SECONDS: Final = 60.0


class OverdueRows:
    """Reads at most once per `KEPT_SECONDS`, because anyone may request `/metrics`."""

    def __init__(self, database: Database, days: RetentionDays) -> None:
        self._database = database
        self._days = days
        self._kept: TTLCache[None, Mapping[str, float]] = TTLCache(1, KEPT_SECONDS)
        self._reads: SingleFlight[None, Mapping[str, float]] = SingleFlight()

    async def seconds(self) -> Mapping[str, float]:
        """Seconds by kind, for the kinds that expire; empty if the database cannot be read."""
        if (known := self._kept.get(None)) is not None:
            return known
        return await self._reads.join(None, self._read)

    async def _read(self) -> Mapping[str, float]:
        found: Mapping[str, float] = {}
        try:
            async with self._database.read() as db:
                late = await expired_rows.overdue(db, self._days, clock.now())
            found = {kind.value: waited.total_seconds() for kind, waited in late.items()}
        except (SQLAlchemyError, OSError):
            pass
        self._kept[None] = found
        return found
