"""Starts the workflows of waiting runs."""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from activities.open_pairs import of_new_runs
from core.concurrency import run_bounded
from core.db.database import Database
from core.errors import Unavailable
from core.periodic import repeating
from core.queries import run_admission
from core.run_spec import OpenRunLimits, RunSpec
from core.telemetry import log_ids
from workflows.run_client import EvalRunClient

if TYPE_CHECKING:
    from core.db.tables import EvalRun

LOOK_SECONDS: Final = 2.0
"""Pause between checks if no run ends in this worker."""

GATHER_SECONDS: Final = 0.05

BEYOND_SECONDS: Final = 1.0
"""Pause between looks for runs that may begin beyond the limits, because each takes queries."""

MAX_CONCURRENT_STARTS: Final = 10

log = logging.getLogger("assay.worker")


class RunAdmission:
    """Every worker and every API process has one `RunAdmission`; the database decides which of them
    admits a run.

    `look_seconds`: pause between checks if nothing wakes this admission; None: no such checks.
    """

    def __init__(
        self,
        database: Database,
        eval_runs: EvalRunClient,
        limits: OpenRunLimits,
        *,
        look_seconds: float | None = LOOK_SECONDS,
    ) -> None:
        self._look_seconds = look_seconds
        self._database = database
        self._eval_runs = eval_runs
        self._limits = limits
        self._woken = asyncio.Event()
        self._looked_beyond_at = -BEYOND_SECONDS

    def wake(self) -> None:
        """Call this when the next run may begin, because another has ended or none is open."""
        self._woken.set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with repeating(self._next, every=0.0):
            yield

    async def _next(self) -> None:
        with contextlib.suppress(TimeoutError):
            # Not asyncio.wait_for, which may lose the cancellation that ends this work.
            async with asyncio.timeout(self._look_seconds):
                await self._woken.wait()
        # Several runs may end during the pause; one transaction then admits several runs.
        await asyncio.sleep(GATHER_SECONDS)
        self._woken.clear()
        await self.admit()

    async def admit(self) -> int:
        """Starts the admitted runs, and returns their number."""
        async with self._database.read() as db:
            if not await run_admission.any_waiting(db):
                return 0
        namespace = await self._eval_runs.namespace()
        beyond = time.monotonic() - self._looked_beyond_at >= BEYOND_SECONDS
        if beyond:
            self._looked_beyond_at = time.monotonic()
        rows = await self._database.write_at_once(
            lambda db: run_admission.admit_next(
                db, self._limits, namespace=namespace, beyond_limits=beyond
            )
        )
        async with self._database.read() as db:
            pairs = await of_new_runs(db, rows, self._eval_runs.task_queue)

        async def start(row: "EvalRun") -> None:
            known = pairs.get(row.id)
            try:
                await self._eval_runs.start(RunSpec.of(row), wait_seconds=0, open_pairs=known)
            except Unavailable:
                with log_ids.scope(project_id=row.project_id, run_id=row.id):
                    log.warning(
                        "Run %s could not be started; the reconciliation will start it", row.id
                    )

        for error in await run_bounded(rows, start, width=MAX_CONCURRENT_STARTS):
            raise error
        return len(rows)
