import asyncio
import sqlite3
import time
from pathlib import Path

import pytest

from activities.judging import run_guard
from activities.judging.run_guard import RunClosed, RunGuard
from core.db.database import Database
from core.db.tables import EvalRun
from core.ids import ProjectId
from core.queries import run_rows
from tests.conftest import make_project
from tests.factories import new_run


@pytest.fixture
def quick_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_guard, "CHECK_SECONDS", 0.1)
    monkeypatch.setattr(run_guard, "RETRY_SECONDS", 0.05)


async def open_run(database: Database) -> tuple[ProjectId, EvalRun]:
    project_id = await make_project(database)
    async with database.write() as db:
        return project_id, await run_rows.create(db, new_run(project_id))


async def asking(gate: RunGuard, project_id: ProjectId, run: EvalRun, seconds: float) -> str:
    async with gate.cancel_on_close(project_id, run.id):
        await asyncio.sleep(seconds)
    return "answered"


@pytest.mark.slow
async def test_a_question_that_is_open_when_its_run_is_cancelled_ends_within_two_seconds(
    database: Database,
) -> None:
    gate = RunGuard(database)
    project_id, run = await open_run(database)
    questions = [asyncio.create_task(asking(gate, project_id, run, 60)) for _ in range(3)]
    await asyncio.sleep(0.1)
    async with database.write() as db:
        await run_rows.request_cancel(db, project_id, run.id)
    cancelled_at = time.monotonic()
    ends = await asyncio.gather(*questions, return_exceptions=True)
    assert [type(end) for end in ends] == [RunClosed] * 3
    assert time.monotonic() - cancelled_at < 2
    with pytest.raises(RunClosed):
        await asking(gate, project_id, run, 0)


@pytest.mark.slow
@pytest.mark.usefixtures("quick_checks")
async def test_a_question_of_another_run_goes_on(sqlite: Database) -> None:
    gate = RunGuard(sqlite)
    project_id, run = await open_run(sqlite)
    async with sqlite.write() as db:
        other = await run_rows.create(db, new_run(project_id))
    mine = asyncio.create_task(asking(gate, project_id, run, 60))
    others = asyncio.create_task(asking(gate, project_id, other, 0.3))
    async with sqlite.write() as db:
        await run_rows.remove(db, project_id, run.id, delete_scores=False)
    with pytest.raises(RunClosed):
        await mine
    assert await others == "answered"


@pytest.mark.slow
@pytest.mark.usefixtures("quick_checks")
async def test_a_store_that_cannot_be_read_ends_no_question(
    sqlite: Database, tmp_path: Path
) -> None:
    gate = RunGuard(sqlite)
    project_id, run = await open_run(sqlite)
    question = asyncio.create_task(asking(gate, project_id, run, 0.4))
    await asyncio.sleep(0.1)
    path = sqlite.engine.url.database
    assert path is not None
    with sqlite3.connect(path) as other:
        other.execute("ALTER TABLE eval_run RENAME TO elsewhere")
    assert await question == "answered"
    other.close()


async def test_a_time_out_of_the_question_itself_stays_one(sqlite: Database) -> None:
    gate = RunGuard(sqlite)
    project_id, run = await open_run(sqlite)
    with pytest.raises(TimeoutError):
        async with gate.cancel_on_close(project_id, run.id), asyncio.timeout(0.01):
            await asyncio.sleep(1)


async def test_an_open_question_is_checked_as_soon_as_the_last_check_of_its_run_expires(
    sqlite: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, pauses, paused_again = RunGuard(sqlite), list[float](), asyncio.Event()
    project_id, run = await open_run(sqlite)

    async def noted(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 1:
            gate._seen[run.id] = time.monotonic() - 0.8
        else:
            paused_again.set()
            await asyncio.Event().wait()

    monkeypatch.setattr(asyncio, "sleep", noted)
    async with gate.cancel_on_close(project_id, run.id), asyncio.timeout(20):
        await paused_again.wait()
    assert 0 < pauses[1] <= run_guard.CHECK_SECONDS - 0.8
