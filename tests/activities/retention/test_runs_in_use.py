"""A run that is being deleted by age, and the readers of its scores."""

import pytest

from activities.comparing.computing import result_of
from activities.comparing.plan import ComparisonOptions, Plan, plan
from core.db.database import Database
from core.db.tables import EvalRun
from core.errors import Invalid
from core.ids import ProjectId
from core.queries import comparison_rows, expired_runs, noise_rows, run_retry
from tests.activities.retention.ages import CUTOFF, NOW, OLD, ids_in, run_over, traces_from

TARGETS = 3


async def old_run(database: Database, project_id: ProjectId) -> EvalRun:
    ids = await traces_from(database, project_id, TARGETS, NOW)
    return await run_over(database, project_id, [str(one) for one in ids], ended=OLD)


async def planned(database: Database, run: EvalRun) -> Plan:
    asked = ComparisonOptions(baseline=run.id, candidate=run.id, alpha=0.05, margin=0.0)
    async with database.read() as db:
        return await plan(db, ProjectId(run.project_id), asked)


async def delete_some(database: Database, run: EvalRun, limit: int) -> tuple[int, bool]:
    async with database.write() as db:
        return await expired_runs.delete_some(
            db, ProjectId(run.project_id), run.id, CUTOFF, limit=limit
        )


@pytest.mark.parametrize("limit", [1, TARGETS + 1])
async def test_nothing_uses_the_remaining_scores(
    database: Database, project_id: ProjectId, limit: int
) -> None:
    run = await old_run(database, project_id)
    before = await planned(database, run)
    assert await delete_some(database, run, limit) == (limit, False)
    with pytest.raises(Invalid, match="being deleted"):
        await planned(database, run)
    with pytest.raises(Invalid, match="being deleted"):
        await result_of(database, before)
    async with database.write() as db:
        with pytest.raises(Invalid, match="being deleted"):
            await run_retry.create(db, project_id, run.id)
        with pytest.raises(Invalid, match="being deleted"):
            await noise_rows.create(db, project_id, run.id, sample=2, seed=1)


async def test_a_run_stays_when_a_comparison_begins_after_the_run_was_found(
    database: Database, project_id: ProjectId
) -> None:
    run = await old_run(database, project_id)
    async with database.read() as db:
        assert await expired_runs.oldest(db, project_id, CUTOFF, limit=9) == [run.id]
    async with database.write() as db:
        await comparison_rows.create(db, project_id, (run, run), settings={}, result=None)
    assert (await delete_some(database, run, 100))[0] == 0
    assert await ids_in(database, "eval_run", project_id) == {run.id}
    assert (await planned(database, run)).pairs == TARGETS
