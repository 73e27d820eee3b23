"""Freezing the targets of a run."""

import asyncio

import pytest
from temporalio.testing import ActivityEnvironment

from activities.open_pairs import NOTHING_OPEN
from activities.payloads import RunRef
from activities.runs import Runs
from core import clock
from core.db.database import Database, Reader
from core.db.tables import EvalRun
from core.ids import ProjectId
from core.queries import run_rows, run_sampling
from tests.conftest import make_project
from tests.factories import new_run, store_traces


async def test_while_a_sample_is_drawn_others_write_and_may_cancel(
    database: Database, project_id: ProjectId, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store_traces(database, project_id, 4)
    async with database.write() as db:
        run = await run_rows.create(db, new_run(project_id, sampling_rate=0.5))
    draw = run_sampling.draw

    async def draw_at_leisure(db: Reader, row: EvalRun) -> list[str]:
        async with asyncio.timeout(5), database.write() as other:
            await run_rows.request_cancel(other, project_id, run.id)
        return await draw(db, row)

    monkeypatch.setattr(run_sampling, "draw", draw_at_leisure)
    resolve = Runs(database).resolve_targets
    resolved = await ActivityEnvironment().run(resolve, RunRef(project_id, run.id))
    assert (resolved.targets, resolved.pairs) == (2, 2)
    assert resolved.open_pairs == NOTHING_OPEN
    async with database.read() as reader:
        row = await run_rows.get(reader, project_id, run.id)
    assert row.cancel_requested_at is not None
    assert row.total_targets == 2


async def test_of_two_attempts_at_once_the_first_sample_stays(
    database: Database, project_id: ProjectId
) -> None:
    await store_traces(database, project_id, 2)
    async with database.write() as db:
        run = await run_rows.create(db, new_run(project_id))
    async with database.read() as reader:
        early = await run_sampling.draw(reader, run)
    await store_traces(database, project_id, 1, name="late")
    resolve = Runs(database).resolve_targets
    resolved = await ActivityEnvironment().run(resolve, RunRef(project_id, run.id))
    assert resolved.targets == 3
    async with database.write() as db:
        locked = await run_rows.lock(db, project_id, run.id)
        assert await run_sampling.freeze(db, locked, early) == 3


async def test_the_open_runs_of_a_project_share_the_weight_of_one(sqlite: Database) -> None:
    project_id, other = await make_project(sqlite), await make_project(sqlite, "other")
    async with sqlite.write() as db:
        runs = [await run_rows.create(db, new_run(project_id)) for _ in range(4)]
        lone = await run_rows.create(db, new_run(other))
        for run in (*runs, lone):
            run.admitted_at = clock.now()
    resolve = Runs(sqlite).resolve_targets
    for owner, run, weight in ((project_id, runs[0], 0.25), (other, lone, 1.0)):
        await store_traces(sqlite, owner, 1)
        resolved = await ActivityEnvironment().run(resolve, RunRef(owner, run.id))
        assert resolved.open_pairs is not None
        assert resolved.open_pairs.route.fairness_weight == weight
