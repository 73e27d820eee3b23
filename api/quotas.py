"""Enforces the quotas of projects. Messages name the setting that raises a quota."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
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
_MAX_PROJECTS: Final = 10_000
_RETRY_RUNS_SECONDS: Final = 60.0
_RETRY_PAIRS_SECONDS: Final = 3600.0


class Quotas:
    """Reads values that need a scan at most four times per minute per project."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._settings = settings
        self._pairs = _KeptCounts(database, quotas.pairs_of_a_day)
        self._bytes = _KeptCounts(database, quotas.stored_bytes)

    async def check_unfinished(self, db: Reader, project_id: ProjectId) -> None:
        """Checks whether the project may have another unfinished run. Raises RateLimited."""
        quota = self._settings.run_quota
        most = quota.unfinished_runs
        if await quotas.unfinished_runs(db, project_id, at_most=most) >= most:
            raise RateLimited(quota.too_many_runs, retry_after=_RETRY_RUNS_SECONDS)

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
    """A count per project, valid for a while. Concurrent callers share one query."""

    def __init__(
        self, database: Database, count: Callable[[Reader, ProjectId], Awaitable[int]]
    ) -> None:
        self._database = database
        self._count = count
        self._kept: TTLCache[ProjectId, int] = TTLCache(_MAX_PROJECTS, _KEPT_SECONDS)
        self._queries: SingleFlight[ProjectId, int] = SingleFlight(finish_unused=True)

    async def of(self, project_id: ProjectId) -> int:
        kept = self._kept.get(project_id)
        if kept is not None:
            return kept
        return await self._queries.join(project_id, lambda: self._read(project_id))

    def forget(self) -> None:
        self._kept.clear()

    async def _read(self, project_id: ProjectId) -> int:
        async with self._database.read_autocommit() as db:
            count = self._kept[project_id] = await self._count(db, project_id)
        return count
