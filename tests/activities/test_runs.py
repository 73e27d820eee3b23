"""Freezing the targets of a run."""

import asyncio

import pytest
from temporalio.testing import ActivityEnvironment

from activities.inputs import Resolved, RunRef
from activities.runs import Runs
from core.database import Database, Reader
from core.ids import ProjectId
from core.queries import runs, targets
from core.tables import EvalRun
from tests.factories import new_run, store_traces


async def test_while_a_sample_is_drawn_others_write_and_may_cancel(
    database: Database, project_id: ProjectId, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store_traces(database, project_id, 4)
    async with database.write() as db:
        run = await runs.create(db, new_run(project_id, sampling_rate=0.5))
    draw = targets.draw

    async def draw_at_leisure(db: Reader, row: EvalRun) -> list[str]:
        async with asyncio.timeout(5), database.write() as other:
            await runs.request_cancel(other, project_id, run.id)
        return await draw(db, row)

    monkeypatch.setattr(targets, "draw", draw_at_leisure)
    resolve = Runs(database).resolve_targets
    resolved = await ActivityEnvironment().run(resolve, RunRef(project_id, run.id))
    assert resolved == Resolved(targets=2, pairs=2)
    async with database.read() as reader:
        row = await runs.get(reader, project_id, run.id)
    assert row.cancel_requested_at is not None
    assert row.total_targets == 2


async def test_of_two_attempts_at_once_the_first_sample_stays(
    database: Database, project_id: ProjectId
) -> None:
    await store_traces(database, project_id, 2)
    async with database.write() as db:
        run = await runs.create(db, new_run(project_id))
    async with database.read() as reader:
        early = await targets.draw(reader, run)
    await store_traces(database, project_id, 1, name="late")
    resolve = Runs(database).resolve_targets
    resolved = await ActivityEnvironment().run(resolve, RunRef(project_id, run.id))
    assert resolved.targets == 3
    async with database.write() as db:
        locked = await runs.lock(db, project_id, run.id)
        assert await targets.freeze(db, locked, early) == 3
