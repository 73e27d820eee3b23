"""Enforces the quotas of projects. Messages name the setting that raises a quota."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Final

from cachetools import TTLCache

from core import cron
from core.db.database import Database, Reader
from core.errors import Invalid, RateLimited
from core.ids import ProjectId
from core.queries import quotas
from core.settings import Settings
from core.single_flight import SingleFlight

_KEPT_SECONDS: Final = 15.0
_UNFINISHED_KEPT_SECONDS: Final = 1.0
_MAX_PROJECTS: Final = 10_000
_RETRY_RUNS_SECONDS: Final = 60.0
_RETRY_PAIRS_SECONDS: Final = 3600.0


class Quotas:
    """Keeps values that need a scan, per project: sums for 15 seconds, unfinished runs for one."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._settings = settings
        self._pairs = _KeptCounts(database, quotas.pairs_of_a_day, _KEPT_SECONDS)
        self._bytes = _KeptCounts(database, quotas.stored_bytes, _KEPT_SECONDS)
        most = settings.run_quota.unfinished_runs
        count = partial(quotas.unfinished_runs, at_most=most)
        self._unfinished = _KeptCounts(database, count, _UNFINISHED_KEPT_SECONDS)

    async def check_unfinished(self, project_id: ProjectId) -> None:
        """Counts one more unfinished run, if the project may have it. Raises RateLimited.

        Several processes together may exceed the quota by what they open in a second.
        """
        quota = self._settings.run_quota
        most, unfinished = quota.unfinished_runs, self._unfinished
        if await unfinished.of(project_id) >= most:
            # Runs may have ended meanwhile.
            unfinished.forget(project_id)
            if await unfinished.of(project_id) >= most:
                raise RateLimited(quota.too_many_runs, retry_after=_RETRY_RUNS_SECONDS)
        unfinished.add_one(project_id)

    async def check_pairs(self, project_id: ProjectId) -> None:
        """Checks whether the project may open runs of more pairs today. Raises RateLimited."""
        quota = self._settings.run_quota
        if await self._pairs.of(project_id) >= quota.pairs_per_day:
            raise RateLimited(quota.too_many_pairs, retry_after=_RETRY_PAIRS_SECONDS)

    async def check_new_monitor(self, db: Reader, project_id: ProjectId) -> None:
        """Checks whether the project may have another monitor. Raises Invalid."""
        most = self._settings.max_monitors
        if await quotas.monitors(db, project_id) >= most:
            raise Invalid(
                f"This project has {most} monitors, as many as ASSAY_MAX_MONITORS allows."
            )

    def check_cadence(self, cadence: str) -> None:
        """Raises Invalid."""
        least = self._settings.min_monitor_minutes
        if cron.period_of(cadence) < timedelta(minutes=least):
            raise Invalid(
                f"This cadence runs more often than every {least} minutes, the minimum that "
                "ASSAY_MIN_MONITOR_MINUTES allows."
            )

    async def check_storage(self, project_id: ProjectId) -> None:
        """Checks whether the project may store more traces. Raises Invalid."""
        most = self._settings.max_stored_bytes
        if await self._bytes.of(project_id) >= most:
            raise Invalid(
                f"This project keeps {most} bytes of traces, as many as ASSAY_MAX_STORED_BYTES "
                "allows. Delete some traces first."
            )


class _KeptCounts:
    """A count per project, valid for `seconds`. Concurrent callers share one query."""

    def __init__(
        self,
        database: Database,
        count: Callable[[Reader, ProjectId], Awaitable[int]],
        seconds: float,
    ) -> None:
        self._database = database
        self._count = count
        self._kept: TTLCache[ProjectId, _Tally] = TTLCache(_MAX_PROJECTS, seconds)
        self._queries: SingleFlight[ProjectId, _Tally] = SingleFlight(finish_unused=True)

    async def of(self, project_id: ProjectId) -> int:
        kept = self._kept.get(project_id)
        if kept is None:
            kept = await self._queries.join(project_id, lambda: self._read(project_id))
        return kept.counted + kept.added

    def add_one(self, project_id: ProjectId) -> None:
        """Counts what is added before the next query."""
        kept = self._kept.get(project_id)
        if kept is not None:
            kept.added += 1

    def forget(self, project_id: ProjectId) -> None:
        self._kept.pop(project_id, None)

    async def _read(self, project_id: ProjectId) -> "_Tally":
        async with self._database.read_autocommit() as db:
            tally = self._kept[project_id] = _Tally(await self._count(db, project_id))
        return tally


@dataclass(slots=True)
class _Tally:
    counted: int
    added: int = 0
