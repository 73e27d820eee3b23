"""How long expired rows have waited for their deletion, for scrapes of `/metrics`."""

from collections.abc import Mapping
from typing import Final
from uuid import UUID

from cachetools import TTLCache
from sqlalchemy.exc import SQLAlchemyError

from core import clock
from core.db.database import Database
from core.queries import expired_rows
from core.queries.expired_rows import OverduePage
from core.retention import RetentionDays
from core.single_flight import SingleFlight

KEPT_SECONDS: Final = 60.0


class OverdueRows:
    """Reads at most one page of projects per `KEPT_SECONDS`, because anyone may request `/metrics`.

    A round reads every project. Until its end, the last round counts as well.
    """

    def __init__(self, database: Database, days: RetentionDays) -> None:
        self._database = database
        self._days = days
        self._kept: TTLCache[None, Mapping[str, float]] = TTLCache(1, KEPT_SECONDS)
        self._reads: SingleFlight[None, Mapping[str, float]] = SingleFlight()
        self._after: UUID | None = None
        self._round: Mapping[str, float] = {}
        self._last_round: Mapping[str, float] = {}

    async def seconds(self) -> Mapping[str, float]:
        """The longest known wait, in seconds, of each kind that expires.

        Empty if the database cannot be read.
        """
        if (known := self._kept.get(None)) is not None:
            return known
        return await self._reads.join(None, self._read)

    async def _read(self) -> Mapping[str, float]:
        found: Mapping[str, float] = {}
        try:
            async with self._database.read() as db:
                page = await expired_rows.overdue(db, self._days, clock.now(), after=self._after)
            found = self._with(page)
        except (SQLAlchemyError, OSError):
            pass
        self._kept[None] = found
        return found

    def _with(self, page: OverduePage) -> Mapping[str, float]:
        seconds = {kind.value: waited.total_seconds() for kind, waited in page.late.items()}
        self._round = _longest(self._round, seconds)
        if page.after is None:
            self._last_round, self._round = self._round, {}
        self._after = page.after
        return _longest(self._last_round, self._round)


def _longest(some: Mapping[str, float], others: Mapping[str, float]) -> Mapping[str, float]:
    return {kind: max(some.get(kind, 0.0), others.get(kind, 0.0)) for kind in (*some, *others)}
