"""Checks that rows past their age are deleted."""

from datetime import timedelta
from typing import Final

from temporalio.client import Client

from api.doctor.check_result import CheckResult, counted, fine, problem, warning
from core import clock
from core.db.database import Database
from core.queries import expired_rows
from core.queries.expired_rows import MAX_PROJECTS_READ
from core.settings import Settings
from core.temporal.retention_schedule import RetentionSchedule

RETENTION: Final = "retention"

MAX_OVERDUE: Final = timedelta(days=1)
"""Twenty-four sweeps."""


async def schedule(
    client: Client, database: Database, settings: Settings
) -> CheckResult | list[CheckResult]:
    async with database.read() as db:
        if not await expired_rows.is_wanted(db, settings.retention):
            return fine(RETENTION, "Nothing is deleted by age.")
        page = await expired_rows.overdue(db, settings.retention, clock.now())
    late = page.late
    worst = max(late.values(), default=timedelta())
    made = RetentionSchedule(client, task_queue=settings.task_queue)
    described = await made.described()
    if described is None:
        # Normal for a minute after the first setting.
        return (problem if worst > MAX_OVERDUE else warning)(
            RETENTION,
            f"Temporal has no schedule {made.id}, so nothing is deleted by age.",
            "A worker creates it within a minute. If none does, start one with the same settings.",
        )
    if described.paused:
        return warning(
            RETENTION,
            f"The schedule {made.id} is paused, so nothing is deleted by age.",
            f"Resume it: `temporal schedule toggle --schedule-id {made.id} --unpause "
            f"--namespace {client.namespace}`.",
        )
    if described.last_failed:
        return problem(
            RETENTION,
            "The last sweep failed or was ended from outside.",
            "The worker's log has its errors; the next sweep begins within an hour.",
        )
    if worst > MAX_OVERDUE:
        kind = max(late, key=lambda one: late[one])
        return warning(
            RETENTION,
            f"The oldest of the {kind} should have been deleted {counted(worst.days, 'day')} ago.",
            "Paused and open runs keep their traces: end them. Otherwise see the worker's log.",
        )
    some = "" if page.after is None else f" of the first {MAX_PROJECTS_READ:,} projects"
    return fine(RETENTION, f"Rows{some} past their age are deleted.")
