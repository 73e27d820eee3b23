"""Ending a run while many workers write its scores."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Sequence

from sqlalchemy import text

from core.db.database import Database
from core.db.tables import EvalRun
from core.ids import ProjectId, RunStatus
from core.queries import open_runs, projects, run_pairs, run_rows, run_stops
from core.run_ending import ending
from tests.conftest import make_project
from tests.factories import new_run, new_score, store_traces

WRITERS = 60
HOLD_SECONDS = 0.1


@contextlib.asynccontextmanager
async def writers(database: Database, runs: Sequence[EvalRun]) -> AsyncIterator[None]:
    """Writers that keep writing for all open runs, so that some row lock is always held."""
    over = asyncio.Event()
    begun = asyncio.Semaphore(0)

    async def write(number: int) -> None:
        await asyncio.sleep(HOLD_SECONDS * number / WRITERS)
        while not over.is_set():
            async with database.write() as db:
                scores = [new_score(run, f"session {number}") for run in runs]
                await run_pairs.record(db, scores)
                await db.execute(text(f"SELECT pg_sleep({HOLD_SECONDS})"))
            begun.release()

    async with asyncio.TaskGroup() as group:
        for number in range(WRITERS):
            group.create_task(write(number))
        for _ in range(WRITERS):
            await begun.acquire()
        yield
        over.set()


async def test_many_writers_keep_nobody_from_ending_a_run(postgres_url: str) -> None:
    database = Database(postgres_url, pool_size=WRITERS + 5)
    project_id = await make_project(database)
    async with database.write() as db:
        runs = [
            await run_rows.create(db, new_run(project_id, target_type="SESSION")) for _ in range(4)
        ]
    cancelled, deleted, finished, of_project = runs
    began = time.monotonic()
    async with writers(database, runs):
        async with asyncio.timeout(8):
            began = time.monotonic()
            async with ending(database, project_id, cancelled.id) as db:
                await run_rows.request_cancel(db, project_id, cancelled.id)
            async with ending(database, project_id, deleted.id) as db:
                await run_rows.remove(db, project_id, deleted.id, delete_scores=True)
            async with ending(database, project_id, finished.id) as db:
                await run_rows.finish_from_outside(db, project_id, finished.id)
            async with ending(database, project_id) as db:
                await projects.mark_deleted(db, project_id)
        took = time.monotonic() - began
    async with database.read() as db:
        assert await run_rows.find(db, project_id, deleted.id) is None
        row = await run_rows.get(db, project_id, finished.id)
        assert row.status is RunStatus.FAILED
        assert not await open_runs.find_open(db, project_id, of_project.id)
    await database.close()
    assert took < 4


async def test_a_stop_holds_for_open_runs_of_its_project_alone(
    database: Database, project_id: ProjectId
) -> None:
    other = await make_project(database, "other")
    [target] = await store_traces(database, project_id, 1)
    async with database.write() as db:
        stopped, open_run = [await run_rows.create(db, new_run(project_id)) for _ in range(2)]
        await run_stops.stop(db, other, stopped.id)
        assert await open_runs.find_open(db, project_id, stopped.id)
        await run_stops.stop(db, project_id, stopped.id)
        await run_stops.stop(db, project_id, stopped.id)
    async with database.write() as db:
        scores = [new_score(run, str(target)) for run in (stopped, open_run)]
        assert await run_pairs.record(db, scores) == {open_run.id}
        assert not await open_runs.find_open(db, project_id, stopped.id)


async def test_a_run_that_is_over_leaves_no_stop_behind(
    database: Database, project_id: ProjectId
) -> None:
    async with database.write() as db:
        ended, deleted = [await run_rows.create(db, new_run(project_id)) for _ in range(2)]
        for run in (ended, deleted):
            await run_stops.stop(db, project_id, run.id)
        await run_rows.finish_from_outside(db, project_id, ended.id)
        await run_rows.remove(db, project_id, deleted.id, delete_scores=False)
        await run_stops.stop(db, project_id, ended.id)
        assert (await db.execute(text("SELECT count(*) FROM eval_run_stop"))).scalar_one() == 0
