"""Shows what runs without progress wait for, on their pages in Temporal."""

import time
from typing import Final
from uuid import UUID

from core.db.database import Database
from core.queries import run_upkeep
from workflows.maintenance_client import MaintenanceClient
from workflows.stall_watch import LookBackoff

INSPECT_SECONDS: Final = 10.0
MAX_RUNS: Final = 250


class StalledRuns:
    """Inspects runs from outside, because a workflow cannot see its own pending activities, and
    timers would fill its history.
    """

    def __init__(
        self,
        database: Database,
        eval_runs: MaintenanceClient,
        *,
        min_age_seconds: float = INSPECT_SECONDS,
    ) -> None:
        self._database = database
        self._min_age_seconds = min_age_seconds
        self._eval_runs = eval_runs
        self._backoff: dict[UUID, LookBackoff] = {}
        self._shown: dict[UUID, str] = {}

    async def inspect(self) -> None:
        """Raises Unavailable and database errors."""
        async with self._database.read() as db:
            rows = await run_upkeep.unfinished(
                db,
                older_than_seconds=self._min_age_seconds,
                limit=MAX_RUNS,
                namespace=await self._eval_runs.namespace(),
            )
        # Skips paused runs, whose page already names the budget.
        rows = [row for row in rows if row.paused_at is None]
        now = time.monotonic()
        self._backoff = {row.id: self._backoff.get(row.id, LookBackoff(now, now)) for row in rows}
        self._shown = {run: text for run, text in self._shown.items() if run in self._backoff}
        for run_id, backoff in self._backoff.items():
            if backoff.due_at(now) <= now:
                await self._inspect(run_id, backoff)

    async def _inspect(self, run_id: UUID, backoff: LookBackoff) -> None:
        sentence = await self._eval_runs.describe_wait(run_id)
        if sentence is None:
            backoff.moved(time.monotonic(), stood_still=run_id in self._shown)
            # The workflow removes the sentence itself when it makes progress.
            self._shown.pop(run_id, None)
            return
        backoff.looked()
        if sentence != self._shown.get(run_id):
            await self._eval_runs.show_wait(run_id, sentence)
            self._shown[run_id] = sentence
