"""Retries the pairs of a vanished worker, long before their heartbeats time out."""

import logging
from datetime import datetime
from typing import Final

from core import clock
from core.db.database import Database
from core.queries import run_upkeep, workers
from core.queries.workers import WorkerLife
from core.temporal.pending import PendingActivity
from workflows.maintenance_client import MaintenanceClient

LOOK_SECONDS: Final = 5.0
MAX_RUNS: Final = 500

log = logging.getLogger("assay.worker")


class LostPairs:
    """Reports the attempts of workers whose heartbeat in the store has stopped to Temporal as
    failed.

    If such a worker is still alive, Temporal refuses its reports, and only the score that is stored
    first counts. An answer may be paid for twice, but never counts twice.
    """

    def __init__(self, database: Database, eval_runs: MaintenanceClient) -> None:
        self._database = database
        self._eval_runs = eval_runs
        self._suspects: set[WorkerLife] = set()
        self._reclaimed: set[WorkerLife] = set()

    async def reclaim(self) -> None:
        """Raises Unavailable and database errors."""
        async with self._database.read() as db:
            lives = await workers.lives(db)
        silent = {life for life in lives if life.is_silent(clock.now())}
        # Acts on a worker that was silent in two consecutive rounds: after an outage of the store,
        # other workers may report a moment later than this worker.
        lost = (silent & self._suspects) - self._reclaimed
        self._suspects = silent
        self._reclaimed &= set(lives)
        if lost and len(silent) < len(lives):
            await self._reclaim_from({life.worker_id: life.last_seen for life in lost})
            self._reclaimed |= lost

    async def _reclaim_from(self, lost: dict[str, datetime]) -> None:
        async with self._database.read() as db:
            runs = await run_upkeep.unfinished(
                db,
                older_than_seconds=0,
                limit=MAX_RUNS,
                namespace=await self._eval_runs.namespace(),
            )
        count = 0
        for run in runs:
            for pending in await self._eval_runs.pending_activities(run.id):
                if _is_lost(pending, lost):
                    count += 1
                    reason = f"Worker {pending.worker} stopped or was killed."
                    await self._eval_runs.fail_attempt(pending, reason)
        log.warning("%d activities of worker %s are judged again", count, ", ".join(sorted(lost)))


def _is_lost(pending: PendingActivity, lost: dict[str, datetime]) -> bool:
    return pending.judges and pending.started and pending.worker in lost
