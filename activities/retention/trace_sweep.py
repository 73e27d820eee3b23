"""Deletes the traces of a project that are past their age."""

import asyncio
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from activities.retention.write_pace import WritePace
from core import clock
from core.db.database import Database, Writer
from core.ids import ProjectId
from core.queries import expired_traces
from core.queries.expired_traces import ExpiredTrace, Place, UnfinishedRun
from core.retention import SweepPlace

PAGE_SIZE: Final = 5_000
"""Traces that are compared with the targets of unfinished runs at once."""

MAX_CLOCK_DIFFERENCE: Final = timedelta(minutes=5)
"""Between the workers that freeze targets and this one."""

RESOLVING_SECONDS: Final = 0.2
"""Pause while a run of the project draws its sample."""

MAX_HELD_UP: Final = 3_000
"""Such pauses in a row, ten minutes; then the traces of the project wait for the next sweep."""


class TraceSweep:
    """The turn of one project.

    Each transaction checks again that no run began to need traces since they were read. A run that
    is created and drawn during these milliseconds may still find a target deleted; its pairs then
    end as after a deletion by hand. `after`: every expired trace up to here is deleted or needed.
    `held_up`: see `SweepPlace`.
    """

    def __init__(
        self,
        database: Database,
        project_id: ProjectId,
        pace: WritePace,
        place: SweepPlace | None,
    ) -> None:
        self._database = database
        self._project_id = project_id
        self._pace = pace
        self._page: list[ExpiredTrace] = []
        self._read_at = clock.now()
        self._known: set[UUID] = set()
        after: Place | None = None
        if place is not None and place.moment is not None and place.trace_id is not None:
            after = place.moment, place.trace_id
        self.held_up = 0 if place is None else place.held_up
        self.after = self._read_to = after

    async def step(self, before: datetime) -> int | None:
        """Deletes a few traces, and returns their number; None if no further trace may go now."""
        if not self._page and not await self._read_page(before):
            return None
        if not self._page:
            self.after = self._read_to  # All traces of the page must stay.
            return 0
        batch = self._next_batch()
        found = await self._pace.write(lambda db: self._remove(db, batch, before))
        if isinstance(found, int):
            self._page = self._page[len(batch) :]
            self.after = _place_of(batch[-1]) if self._page else self._read_to
            self.held_up = 0
            return found
        return await self._wait_for(found)

    async def _wait_for(self, runs: list[UnfinishedRun]) -> int | None:
        self._page = await self._without_needed(runs, self._page)
        if all(run.frozen for run in runs):
            return 0
        self.held_up += 1
        if self.held_up > MAX_HELD_UP:
            return None
        await asyncio.sleep(RESOLVING_SECONDS)
        return 0

    async def _read_page(self, before: datetime) -> bool:
        """False if there is no further trace."""
        self.after = self._read_to
        self._read_at = clock.now()
        async with self._database.read() as db:
            traces = await expired_traces.page(
                db, self._project_id, before, after=self._read_to, limit=PAGE_SIZE
            )
            runs = await expired_traces.unfinished(db, self._project_id)
        if not traces:
            return False
        self._read_to = _place_of(traces[-1])
        self._known = set()
        self._page = await self._without_needed(runs, traces)
        return True

    async def _without_needed(
        self, runs: list[UnfinishedRun], traces: list[ExpiredTrace]
    ) -> list[ExpiredTrace]:
        frozen = [run for run in runs if run.frozen]
        self._known |= {run.id for run in frozen}
        async with self._database.read() as db:
            needed = await expired_traces.needed(db, frozen, traces)
        return [trace for trace in traces if trace.id not in needed]

    def _next_batch(self) -> list[ExpiredTrace]:
        """At least one trace, which may have more rows than a transaction should have."""
        rows = 0
        batch: list[ExpiredTrace] = []
        for trace in self._page:
            rows += trace.rows
            if batch and rows > self._pace.rows:
                break
            batch.append(trace)
        return batch

    async def _remove(
        self, db: Writer, batch: list[ExpiredTrace], before: datetime
    ) -> int | list[UnfinishedRun]:
        """The number of deleted traces, or the runs that must be asked first."""
        runs = await expired_traces.unfinished(
            db, self._project_id, frozen_since=self._read_at - MAX_CLOCK_DIFFERENCE
        )
        if unknown := [run for run in runs if run.id not in self._known]:
            return unknown
        ids = [trace.id for trace in batch]
        return await expired_traces.remove(db, self._project_id, ids, before)


def _place_of(trace: ExpiredTrace) -> Place:
    return trace.ingested_at, trace.id
