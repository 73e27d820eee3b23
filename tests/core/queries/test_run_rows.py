from datetime import timedelta

import pytest
from sqlalchemy import select
from sqlmodel import col

from core import clock
from core.db.database import Database
from core.db.paging import Page
from core.db.tables import Score
from core.errors import Conflict, NotFound
from core.ids import ProjectId, RunStatus, TargetType
from core.provider_status import ProviderStatus
from core.queries import open_runs, run_pairs, run_rows, run_sampling, run_upkeep, workers
from tests.conftest import make_project
from tests.factories import new_run, new_score, store_traces


async def test_a_run_of_another_project_does_not_exist(
    database: Database, project_id: ProjectId
) -> None:
    other = await make_project(database, "other")
    async with database.write() as db:
        run = await run_rows.create(db, new_run(other))
    async with database.write() as db:
        for refused in (
            run_rows.get(db, project_id, run.id),
            run_rows.request_cancel(db, project_id, run.id),
            run_rows.remove(db, project_id, run.id, delete_scores=True),
        ):
            with pytest.raises(NotFound):
                await refused
        assert not await open_runs.find_open(db, project_id, run.id)


async def test_runs_are_listed_newest_first_in_pages(
    database: Database, project_id: ProjectId
) -> None:
    async with database.write() as db:
        made = [(await run_rows.create(db, new_run(project_id))).id for _ in range(3)]
        made[1:2] = []
        last = await run_rows.request_cancel(db, project_id, made[0])
        await run_rows.finish(db, project_id, last.id, status=RunStatus.FAILED, error_message="x")
    async with database.read() as db:
        rows, total = await run_rows.page(
            db, project_id, TargetType.TRACE, status=None, page=Page(limit=1)
        )
        assert ([row.id for row in rows], total) == ([made[-1]], 3)
        rows, total = await run_rows.page(
            db, project_id, TargetType.TRACE, status=RunStatus.FAILED, page=Page()
        )
        assert ([row.id for row in rows], total) == ([made[0]], 1)
        assert await run_rows.page(
            db, project_id, TargetType.SESSION, status=None, page=Page()
        ) == (
            [],
            0,
        )


async def test_how_a_run_ended_is_written_once(database: Database, project_id: ProjectId) -> None:
    async with database.write() as db:
        run = await run_rows.create(db, new_run(project_id))
    async with database.write() as db:
        await run_rows.finish(
            db, project_id, run.id, status=RunStatus.FAILED, error_message="first"
        )
    async with database.write() as db:
        again = await run_rows.finish(
            db, project_id, run.id, status=RunStatus.COMPLETED, error_message=None
        )
    assert again is not None
    assert (again.status, again.error_message) == (RunStatus.FAILED, "first")


async def test_a_run_is_only_called_complete_when_every_pair_has_its_score(
    database: Database, project_id: ProjectId
) -> None:
    [trace] = await store_traces(database, project_id, 1)
    ends = []
    for scored in (True, False):
        async with database.write() as db:
            run = await run_rows.create(db, new_run(project_id))
            await run_sampling.freeze(db, run, await run_sampling.draw(db, run))
            await run_pairs.record(db, [new_score(run, str(trace))] if scored else [])
        async with database.write() as db:
            claimed = RunStatus.FAILED if scored else RunStatus.COMPLETED
            ends.append(
                await run_rows.finish(
                    db, project_id, run.id, status=claimed, error_message="claimed"
                )
            )
    assert [(row.status, row.error_message) for row in ends if row] == [
        (RunStatus.COMPLETED, None),
        (RunStatus.FAILED, run_rows.INCOMPLETE),
    ]


async def test_a_run_that_is_over_cannot_be_cancelled(
    database: Database, project_id: ProjectId
) -> None:
    async with database.write() as db:
        run = await run_rows.create(db, new_run(project_id))
        await run_sampling.freeze(db, run, await run_sampling.draw(db, run))
        await run_rows.finish(
            db, project_id, run.id, status=RunStatus.COMPLETED, error_message=None
        )
        with pytest.raises(Conflict, match="COMPLETED"):
            await run_rows.request_cancel(db, project_id, run.id)


@pytest.mark.parametrize(("delete_scores", "left"), [(False, [None]), (True, [])])
async def test_deleting_a_run_keeps_its_scores_unless_told(
    database: Database, project_id: ProjectId, delete_scores: bool, left: list[None]
) -> None:
    [trace] = await store_traces(database, project_id, 1)
    async with database.write() as db:
        run = await run_rows.create(db, new_run(project_id))
        await run_sampling.freeze(db, run, await run_sampling.draw(db, run))
        await run_pairs.record(db, [new_score(run, str(trace))])
    async with database.write() as db:
        await run_rows.remove(db, project_id, run.id, delete_scores=delete_scores)
    async with database.read() as db:
        kept = await db.execute(select(col(Score.eval_run_id)))
        assert list(kept.scalars()) == left


async def test_one_worker_with_a_key_makes_its_provider_available(database: Database) -> None:
    async with database.write() as db:
        for worker, available in (("w1", True), ("w2", False)):
            await workers.publish(
                db,
                worker_id=worker,
                started_at=clock.now(),
                default_model="offline/rules",
                providers=[ProviderStatus("openai", "OpenAI", "", available, worker)],
            )
    async with database.write() as db:
        assert [row.message for row in (await workers.offered(db)).providers] == ["w1"]
        await workers.withdraw(db, "w1")
        assert [row.message for row in (await workers.offered(db)).providers] == ["w2"]


async def test_a_clock_set_back_hides_no_run_and_ends_none_before_it_began(
    database: Database, project_id: ProjectId, monkeypatch: pytest.MonkeyPatch
) -> None:
    began = clock.now()
    async with database.write() as db:
        run = await run_rows.create(db, new_run(project_id))
        run.admitted_at = began
    monkeypatch.setattr(clock, "now", lambda: began - timedelta(hours=1))
    async with database.write() as db:
        found = await run_upkeep.unfinished(db, older_than_seconds=20, limit=10)
        assert [row.id for row in found] == [run.id]
        ended = await run_rows.finish(
            db, project_id, run.id, status=RunStatus.FAILED, error_message="x"
        )
    assert ended is not None
    assert ended.completed_at is not None
    assert ended.completed_at >= ended.created_at


async def test_the_scores_of_a_run_are_found_by_it_among_all_of_its_project(
    sqlite: Database,
) -> None:
    project_id = await make_project(sqlite)
    async with sqlite.write() as db:
        run = await run_rows.create(db, new_run(project_id))
    async with sqlite.read() as db:
        for where in (run_rows.scores_of(project_id, run.id), run_pairs.of_run(project_id, run)):
            query = select(col(Score.id)).where(*where)
            compiled = query.compile(db.get_bind(), compile_kwargs={"literal_binds": True})
            connection = await db.connection()
            plan = await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {compiled}")
            [step] = [row.detail for row in plan]
            assert "(eval_run_id=?)" in step
