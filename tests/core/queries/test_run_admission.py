"""Which waiting runs begin, and in which order."""

from dataclasses import replace
from uuid import UUID

from core.db.database import Database
from core.db.tables import EvalRun
from core.ids import ProjectId, RunStatus
from core.queries import run_admission, run_rows, run_upkeep
from core.run_spec import OpenRunLimits
from tests.conftest import make_project
from tests.factories import end_run, new_run

LIMITS = OpenRunLimits(per_project=2, in_all=3)


HUNG, WELL = "openai/hung", "hosted_vllm/well"


async def post(
    database: Database,
    project_id: ProjectId,
    limits: OpenRunLimits = LIMITS,
    model: str = "offline/rules",
) -> EvalRun:
    async with database.write() as db:
        row = await run_rows.create(db, new_run(project_id, model=model))
        await run_admission.admit_at_once(db, row, limits)
    return row


async def admit(database: Database, limits: OpenRunLimits = LIMITS) -> list[UUID]:
    async with database.write() as db:
        return [row.id for row in await run_admission.admit_next(db, limits)]


async def before(database: Database, run: EvalRun) -> int:
    async with database.read() as db:
        return await run_admission.count_before(db, run, at_most=2)


async def test_a_run_begins_at_once_while_there_is_room(
    database: Database, project_id: ProjectId
) -> None:
    runs = [await post(database, project_id) for _ in range(6)]
    assert [run.admitted_at is not None for run in runs] == [n < 2 for n in range(6)]
    assert [await before(database, run) for run in runs[2:]] == [0, 1, 2, 2]


async def test_runs_of_a_project_begin_in_the_order_they_were_posted(
    database: Database, project_id: ProjectId
) -> None:
    runs = [await post(database, project_id) for _ in range(6)]
    begun: list[UUID] = []
    for done in runs[:4]:
        assert await admit(database) == []
        await end_run(database, project_id, done.id)
        begun += await admit(database)
    assert begun == [run.id for run in runs[2:]]


async def test_a_run_does_not_overtake_those_that_wait(
    database: Database, project_id: ProjectId
) -> None:
    runs = [await post(database, project_id) for _ in range(3)]
    await end_run(database, project_id, runs[0].id)
    late = await post(database, project_id)
    assert late.admitted_at is None
    assert await admit(database) == [runs[2].id]


async def test_the_project_with_the_fewest_runs_under_way_is_next(
    database: Database, project_id: ProjectId
) -> None:
    limits = replace(LIMITS, per_project=10, in_all=4)
    busy = [await post(database, project_id, limits) for _ in range(8)]
    other = await make_project(database, "other")
    late = [await post(database, other, limits) for _ in range(2)]
    for done in busy[:3]:
        await end_run(database, project_id, done.id)
    begun = await admit(database, limits)
    assert set(begun) == {late[0].id, late[1].id, busy[4].id}


async def test_a_waiting_run_that_is_cancelled_is_over_at_once(
    database: Database, project_id: ProjectId
) -> None:
    runs = [await post(database, project_id) for _ in range(3)]
    async with database.write() as db:
        row = await run_rows.request_cancel(db, project_id, runs[2].id)
    assert (row.status, row.error_message) == (RunStatus.FAILED, run_rows.CANCELLED)
    await end_run(database, project_id, runs[0].id)
    assert await admit(database) == []


async def test_runs_that_wait_are_not_taken_for_lost(
    database: Database, project_id: ProjectId
) -> None:
    runs = [await post(database, project_id) for _ in range(3)]
    async with database.read() as db:
        lost = await run_upkeep.unfinished(db, older_than_seconds=-1, limit=10)
    assert [row.id for row in lost] == [run.id for run in runs[:2]]


async def test_the_runs_of_a_hung_model_do_not_keep_another_model_waiting(
    database: Database, project_id: ProjectId
) -> None:
    limits = OpenRunLimits(per_project=10, in_all=100)
    hung = [await post(database, project_id, limits, HUNG) for _ in range(30)]
    assert sum(run.admitted_at is not None for run in hung) == 10
    well = [await post(database, project_id, limits, WELL) for _ in range(4)]
    assert [run.admitted_at is not None for run in well] == [True, True, False, False]
    assert await admit(database, limits) == []
    await end_run(database, project_id, well[0].id)
    late = await post(database, project_id, limits, WELL)
    assert late.admitted_at is None
    assert await admit(database, limits) == [well[2].id]
    for ended in hung[:3]:
        await end_run(database, project_id, ended.id)
    # Within the limit, the run that waits longest is next.
    assert await admit(database, limits) == [hung[10].id]


async def test_the_runs_of_a_hung_model_do_not_keep_other_projects_waiting(
    database: Database, project_id: ProjectId
) -> None:
    limits = OpenRunLimits(per_project=5, in_all=10)
    second, third = [await make_project(database, name) for name in ("second", "third")]
    for project in (project_id, second):
        for _ in range(9):
            await post(database, project, limits, HUNG)
    assert (await post(database, third, limits, HUNG)).admitted_at is None
    well = [await post(database, third, limits, WELL) for _ in range(4)]
    assert [run.admitted_at is not None for run in well] == [True, True, False, False]
    await end_run(database, third, well[1].id)
    assert await admit(database, limits) == [well[2].id]


async def test_waiting_runs_of_many_projects_are_admitted_beyond_the_limits(
    database: Database, project_id: ProjectId
) -> None:
    limits = OpenRunLimits(per_project=5, in_all=5)
    for _ in range(5):
        await post(database, project_id, limits, HUNG)
    others = [await make_project(database, f"other {n}") for n in range(3)]
    async with database.write() as db:
        for other in others:
            for model in (HUNG, WELL):
                await run_rows.create(db, new_run(other, model=model))
    [begun] = await admit(database, limits)
    async with database.read() as db:
        rows = [await run_rows.find(db, other, begun) for other in others]
    assert [row.model for row in rows if row] == [WELL]
