"""Activities that delete expired rows of all projects, in turns of a few seconds."""

import logging
import time
from collections import Counter
from typing import TYPE_CHECKING, Final
from uuid import UUID

from temporalio import activity

from activities.error_translation import translate_errors
from activities.retention.turns import ProjectTurn
from core import clock
from core.db.database import Database
from core.errors import NotFound
from core.queries import expired_rows, projects
from core.retention import (
    ExpiredProjects,
    RetentionDays,
    SweepOutcome,
    SweepPlace,
    SweepTurn,
    SweptTurn,
)

if TYPE_CHECKING:
    from core.db.tables import Project

TURN_SECONDS: Final = 3.0
"""How long one project's rows are deleted before the next project's; at most twice as long if
several kinds have a backlog.
"""

PROJECTS_PER_PAGE: Final = 50

log = logging.getLogger("assay.retention")


class Retention:
    """`days`: the settings of the installation, which projects may override."""

    def __init__(self, database: Database, days: RetentionDays) -> None:
        self._database = database
        self._days = days

    @activity.defn(name="find_expired")
    @translate_errors
    async def find_expired(self, after: UUID | None) -> ExpiredProjects:
        """The projects with expired rows among the next projects after this one."""
        now = clock.now()
        async with self._database.read() as db:
            page = await expired_rows.projects_after(
                db, self._days, after=after, limit=PROJECTS_PER_PAGE
            )
            found = [
                project.id
                for project in page
                if await expired_rows.any_expired(
                    db, project, expired_rows.days_of(project, self._days), now
                )
            ]
        return ExpiredProjects(found, page[-1].id if len(page) == PROJECTS_PER_PAGE else None)

    @activity.defn(name="delete_expired")
    @translate_errors
    async def delete_expired(self, turn: SweepTurn) -> SweptTurn:
        """Deletes expired rows for a few seconds, in many short transactions. Idempotent.

        When the time of a kind ends, each later kind gets a smaller part of the turn, so that a
        backlog of traces does not delay runs. The next turn continues with the first kind that has
        rows left.
        Ends after the open transaction when the worker stops.
        """
        try:
            async with self._database.read() as db:
                project = await projects.get(db, turn.project_id)
        except NotFound:
            return SweptTurn({})
        if project.deleted_at is not None:
            return SweptTurn({})
        days = expired_rows.days_of(project, self._days)
        kinds = [kind for kind, _ in days.cutoffs(clock.now())]
        swept = SweptTurn({})
        place, seconds = turn.place, TURN_SECONDS
        while True:
            part = await self._take_part(project, days, place, seconds)
            swept = _joined(swept, part)
            later = kinds[kinds.index(part.place.kind) + 1 :] if part.place else []
            if not later or activity.is_worker_shutdown():
                return swept
            place, seconds = SweepPlace(later[0]), TURN_SECONDS / len(kinds)

    async def _take_part(
        self, project: "Project", days: RetentionDays, place: SweepPlace | None, seconds: float
    ) -> SweptTurn:
        ends_at = time.monotonic() + seconds

        def goes_on() -> bool:
            activity.heartbeat()
            return time.monotonic() < ends_at and not activity.is_worker_shutdown()

        mine = ProjectTurn(self._database, project, place, clock.now())
        left = await mine.delete(days, goes_on)
        return SweptTurn(dict(mine.deleted), left, mine.pace.longest)

    @activity.defn(name="end_retention_sweep")
    @translate_errors
    async def end_sweep(self, outcome: SweepOutcome) -> None:
        """Logs what the sweep has done."""
        counts = [f"{count:,} {kind}" for kind, count in sorted(outcome.deleted.items())]
        log.info(
            "Retention has deleted %s; the longest transaction took %.0f ms",
            ", ".join(counts) or "nothing",
            1000 * outcome.longest_seconds,
        )
        if outcome.failed:
            log.warning("The expired rows of %d projects could not be deleted", outcome.failed)


def _joined(swept: SweptTurn, part: SweptTurn) -> SweptTurn:
    counts = Counter(swept.deleted) + Counter(part.deleted)
    longest = max(swept.longest_seconds, part.longest_seconds)
    return SweptTurn(dict(counts), swept.place or part.place, longest)
