"""Entries of the overview that need attention: silent workers, paused and failed runs."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from api.dashboard import formats, rendering, run_rows_view
from api.dashboard.access import ProjectViewer
from api.dashboard.run_rows_view import RunRow
from core import clock
from core.db.database import Reader
from core.db.paging import Page
from core.ids import RunStatus
from core.queries import run_listing, workers
from core.queries.run_listing import RunFilters

_MAX_NEEDS: Final = 5
"""Of each kind."""


@dataclass(frozen=True, slots=True)
class Need:
    """An entry that needs attention; `link` leads to its page, and `act` is the label of its
    button.

    `judged` is the number of judged pairs of a run, with the address of their scores.
    """

    icon: str
    tone: str
    what: str
    title: str
    rest: str
    link: str
    when: datetime | None = None
    act: str = ""
    judged: tuple[int, str] | None = None


async def stopped(db: Reader, viewer: ProjectViewer, start: datetime | None) -> list[Need]:
    """Silent workers, and failed runs."""
    needs: list[Need] = []
    seen = await workers.last_seen(db)
    if seen is None or seen < clock.seconds_ago(workers.SILENT_AFTER_SECONDS):
        needs.append(
            Need(
                icon="warn",
                tone="warn",
                what="no worker",
                title="No worker is running.",
                rest="Runs wait, and nothing is lost. Start a worker with `assay worker`.",
                link=viewer.at("/judges"),
                when=seen,
            )
        )
    failed, _ = await run_listing.page(
        db,
        viewer.project.id,
        RunFilters(statuses=(RunStatus.FAILED,), since=start),
        Page(_MAX_NEEDS),
    )
    needs += [
        Need(
            icon="fail",
            tone="bad",
            what="failed",
            title=f"{row.name or formats.short_id(row.id)} stopped.",
            rest=row.error_message or "",
            link=viewer.at(f"/runs/{row.id}"),
            when=row.completed_at or row.created_at,
        )
        for row in failed
        if row.cancel_requested_at is None
    ]
    return needs


async def paused(viewer: ProjectViewer) -> list[Need]:
    """Runs that wait at a budget."""
    async with viewer.stack.database.read() as db:
        found, _ = await run_listing.page(
            db, viewer.project.id, RunFilters(paused=True), Page(_MAX_NEEDS)
        )
    return [_paused_run(viewer, row) for row in await run_rows_view.rows(viewer, found)]


def _paused_run(viewer: ProjectViewer, row: RunRow) -> Need:
    run = row.run
    where, _, state = row.note.partition(": ")
    limit = ""
    if run.budget is not None:
        most = run.max_cost_usd
        limit = (
            f" of {formats.money(most)}" if most is not None else f" of {run.max_tokens:,} tokens"
        )
    scores = rendering.query(run=run.id, target=run.target_type.value)
    return Need(
        icon="stop",
        tone="warn",
        what="paused",
        title=f"{row.name} is {where[:1].lower()}{where[1:]}{limit}.",
        rest=f"{state}." if state else "",
        link=viewer.at(f"/runs/{run.id}"),
        act="Raise budget" if run.budget is not None else "",
        judged=(row.ended, viewer.at(f"/scores{scores}")),
    )
