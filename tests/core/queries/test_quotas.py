from core import clock
from core.db.database import Database
from core.ids import ProjectId
from core.queries import quotas, run_rows
from tests.factories import end_run, new_run


async def test_waiting_and_admitted_runs_count_as_unfinished_up_to_a_limit(
    database: Database, project_id: ProjectId
) -> None:
    async with database.write() as db:
        runs = [await run_rows.create(db, new_run(project_id)) for _ in range(5)]
        for run in runs[:3]:
            run.admitted_at = clock.now()
    await end_run(database, project_id, runs[0].id)
    await end_run(database, project_id, runs[4].id)
    async with database.read() as db:
        assert await quotas.unfinished_runs(db, project_id, at_most=9) == 3
        assert await quotas.unfinished_runs(db, project_id, at_most=2) == 2
