"""How long rows have been past their age."""

from datetime import timedelta

from core import clock
from core.db.database import Database
from core.ids import ProjectId, RunStatus
from core.queries import comparison_rows, expired_rows
from core.retention import RetentionDays, RetentionKind
from tests.activities.retention.ages import run_over, set_columns, traces_from
from tests.conftest import make_project


async def test_the_oldest_row_of_any_project_counts(
    database: Database, project_id: ProjectId
) -> None:
    now = clock.now()
    days = RetentionDays(traces=30, runs=10)

    async def late() -> dict[RetentionKind, timedelta]:
        async with database.read() as db:
            return (await expired_rows.overdue(db, days, now)).late

    assert await late() == {
        RetentionKind.TRACES: timedelta(),
        RetentionKind.RUNS: timedelta(),
    }
    other = await make_project(database, "other")
    for of_project, age in ((project_id, 29), (project_id, 31), (other, 33), (other, 32)):
        await traces_from(database, of_project, 1, now - timedelta(days=age))
    await run_over(database, project_id, [], ended=now - timedelta(days=11))
    assert await late() == {
        RetentionKind.TRACES: timedelta(days=3),
        RetentionKind.RUNS: timedelta(days=1),
    }
    await set_columns(database, "project", [other], retention_traces_days=0)
    assert (await late())[RetentionKind.TRACES] == timedelta(days=1)


async def test_an_open_comparison_is_not_late(database: Database, project_id: ProjectId) -> None:
    now = clock.now()
    run = await run_over(database, project_id, [], ended=now)
    async with database.write() as db:
        made = await comparison_rows.create(db, project_id, (run, run), settings={}, result=None)
    await set_columns(database, "comparison", [made.id], created_at=now - timedelta(days=11))

    async def late() -> timedelta:
        async with database.read() as db:
            page = await expired_rows.overdue(db, RetentionDays(runs=10), now)
        return page.late[RetentionKind.RUNS]

    assert await late() == timedelta()
    await set_columns(database, "comparison", [made.id], status=RunStatus.FAILED)
    assert await late() == timedelta(days=1)
