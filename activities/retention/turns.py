"""The turn of one project in a sweep: every kind of row, a few rows at a time."""

from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TYPE_CHECKING, Final

from activities.retention.trace_sweep import TraceSweep
from activities.retention.write_pace import WritePace
from core.db.database import Database, Writer
from core.ids import ProjectId
from core.queries import expired_rows, expired_runs
from core.retention import RetentionDays, RetentionKind, SweepPlace
from core.telemetry.measures import RETENTION_DELETED

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from core.db.tables import Project

MAX_RUNS_PER_READ: Final = 500
COMPARISONS: Final = "comparisons"

Step = Callable[[datetime], Awaitable[int | None]]
"""Deletes a few rows from before a moment, and returns their number; None if none may go now."""


class ProjectTurn:
    """`deleted` counts the deleted rows by kind."""

    def __init__(
        self, database: Database, project: "Project", place: SweepPlace | None, now: datetime
    ) -> None:
        self._database = database
        self._project = project
        self._project_id = ProjectId(project.id)
        self._now = now
        self._first = RetentionKind.TRACES if place is None else place.kind
        self.pace = WritePace(database)
        self._traces = TraceSweep(database, self._project_id, self.pace, place)
        self._runs: Sequence[UUID] = ()
        self.deleted: Counter[str] = Counter()

    async def delete(self, days: RetentionDays, goes_on: Callable[[], bool]) -> SweepPlace | None:
        """Deletes until nothing may go now or `goes_on` is false.

        Returns the place at which the next turn continues; None if nothing is left that may go.
        Each step deletes rows, passes traces that must stay, or counts a pause of a bounded number,
        so the turns of a project end.
        """
        kinds = list(RetentionKind)
        steps: dict[RetentionKind, Step] = {
            RetentionKind.TRACES: self._traces.step,
            RetentionKind.RUNS: self._delete_from_runs,
            RetentionKind.JUDGEMENTS: self._delete_judgements,
            RetentionKind.USAGE: self._delete_usage,
        }
        for kind, before in days.cutoffs(self._now):
            if kinds.index(kind) < kinds.index(self._first):
                continue
            while (count := await steps[kind](before)) is not None:
                self._count(kind, count)
                if not goes_on():
                    return self._place(kind)
        return None

    def _place(self, kind: RetentionKind) -> SweepPlace:
        if kind is not RetentionKind.TRACES:
            return SweepPlace(kind)
        moment, trace_id = self._traces.after or (None, None)
        return SweepPlace(kind, moment, trace_id, self._traces.held_up)

    def _count(self, kind: str, count: int) -> None:
        if count:
            self.deleted[kind] += count
            RETENTION_DELETED.labels(kind).inc(count)

    async def _delete_from_runs(self, before: datetime) -> int | None:
        if not self._runs:
            async with self._database.read() as db:
                self._runs = await expired_runs.oldest(
                    db, self._project_id, before, limit=MAX_RUNS_PER_READ
                )
        if not self._runs:
            return await self._delete_comparisons(before)
        passed, gone = await self.pace.write(lambda db: self._delete_some_of_runs(db, before))
        self._runs = self._runs[passed:]
        return gone

    async def _delete_some_of_runs(self, db: Writer, before: datetime) -> tuple[int, int]:
        """How many runs need no further look, and how many of them are gone; the others stay."""
        rows = gone = 0
        for passed, run_id in enumerate(self._runs):
            count, is_over = await expired_runs.delete_some(
                db, self._project_id, run_id, before, limit=self.pace.rows - rows
            )
            rows += count
            if not is_over:
                return passed, gone
            gone += count > 0
            if rows >= self.pace.rows:
                return passed + 1, gone
        return len(self._runs), gone

    async def _delete_comparisons(self, before: datetime) -> int | None:
        count = await self.pace.write(
            lambda db: expired_runs.delete_comparisons(
                db, self._project_id, before, limit=self.pace.rows
            )
        )
        self._count(COMPARISONS, count)
        return 0 if count else None

    async def _delete_judgements(self, before: datetime) -> int | None:
        count = await self.pace.write(
            lambda db: expired_rows.delete_judgements(
                db, self._project_id, before, limit=self.pace.rows
            )
        )
        return count or None

    async def _delete_usage(self, before: datetime) -> int | None:
        cutoff = expired_rows.usage_cutoff(before, self._now)
        count = await self.pace.write(
            lambda db: expired_rows.delete_usage(db, self._project_id, cutoff, limit=self.pace.rows)
        )
        if not count:
            await self.pace.write(
                lambda db: expired_rows.delete_accounts(db, self._project, cutoff)
            )
        return count or None
