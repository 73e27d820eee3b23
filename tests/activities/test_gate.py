import asyncio
import sqlite3
import time
from pathlib import Path

import pytest

from activities.gate import Gate, RunClosed
from core.database import Database
from core.ids import ProjectId
from core.queries import runs
from core.tables import EvalRun
from tests.conftest import make_project
from tests.factories import new_run


async def open_run(database: Database) -> tuple[ProjectId, EvalRun]:
    project_id = await make_project(database)
    async with database.write() as db:
        return project_id, await runs.create(db, new_run(project_id))


async def asking(gate: Gate, project_id: ProjectId, run: EvalRun, seconds: float) -> str:
    async with gate.held_open(project_id, run.id):
        await asyncio.sleep(seconds)
    return "answered"


async def test_a_question_that_is_open_when_its_run_is_cancelled_ends_within_two_seconds(
    database: Database,
) -> None:
    gate = Gate(database)
    project_id, run = await open_run(database)
    questions = [asyncio.create_task(asking(gate, project_id, run, 60)) for _ in range(3)]
    await asyncio.sleep(0.1)
    async with database.write() as db:
        await runs.request_cancel(db, project_id, run.id)
    cancelled_at = time.monotonic()
    ends = await asyncio.gather(*questions, return_exceptions=True)
    assert [type(end) for end in ends] == [RunClosed] * 3
    assert time.monotonic() - cancelled_at < 2
    with pytest.raises(RunClosed):
        await asking(gate, project_id, run, 0)


async def test_a_question_of_another_run_goes_on(sqlite: Database) -> None:
    gate = Gate(sqlite)
    project_id, run = await open_run(sqlite)
    async with sqlite.write() as db:
        other = await runs.create(db, new_run(project_id))
    mine = asyncio.create_task(asking(gate, project_id, run, 60))
    others = asyncio.create_task(asking(gate, project_id, other, 1.8))
    async with sqlite.write() as db:
        await runs.remove(db, project_id, run.id, delete_scores=False)
    with pytest.raises(RunClosed):
        await mine
    assert await others == "answered"


async def test_a_store_that_cannot_be_read_ends_no_question(
    sqlite: Database, tmp_path: Path
) -> None:
    gate = Gate(sqlite)
    project_id, run = await open_run(sqlite)
    question = asyncio.create_task(asking(gate, project_id, run, 2.5))
    await asyncio.sleep(0.1)
    path = sqlite.engine.url.database
    assert path is not None
    with sqlite3.connect(path) as other:
        other.execute("ALTER TABLE eval_run RENAME TO elsewhere")
    assert await question == "answered"
    other.close()


async def test_a_time_out_of_the_question_itself_stays_one(sqlite: Database) -> None:
    gate = Gate(sqlite)
    project_id, run = await open_run(sqlite)
    with pytest.raises(TimeoutError):
        async with gate.held_open(project_id, run.id), asyncio.timeout(0.01):
            await asyncio.sleep(1)
