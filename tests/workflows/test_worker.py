"""What a worker does besides judging."""

import asyncio
from datetime import datetime

import pytest
from temporalio.client import WorkflowFailureError

import worker
from core import clock
from core.ids import RunStatus
from core.queries import runs, workers
from core.settings import Settings
from core.tables import EvalRun
from tests.factories import new_run, store_traces
from tests.workflows.conftest import METRICS, Stack
from tests.workflows.judges import Doors
from workflows.control import Existence


async def row_without_workflow(stack: Stack) -> EvalRun:
    await store_traces(stack.database, stack.project_id, 1)
    async with stack.database.write() as db:
        run = new_run(stack.project_id, metric_names=METRICS, model="scripted/judge")
        return await runs.create(db, run)


async def test_a_run_whose_workflow_was_never_started_is_started(stack: Stack) -> None:
    run = await row_without_workflow(stack)
    assert await stack.eval_runs.existence(run.id) is Existence.ABSENT
    async with stack.worker():
        await worker.reunite(stack.database, stack.eval_runs, run)
        await stack.handle(run).result()
    assert (await stack.row(run)).status is RunStatus.COMPLETED


async def test_a_run_that_temporal_has_lost_goes_on_where_it_was(stack: Stack) -> None:
    run = await row_without_workflow(stack)
    async with stack.database.write() as db:
        await runs.begin(db, stack.project_id, run.id)
    async with stack.worker():
        await worker.reunite(stack.database, stack.eval_runs, await stack.row(run))
        await stack.handle(run).result()
    assert (await stack.row(run)).status is RunStatus.COMPLETED
    assert len(await stack.scores(run)) == len(METRICS)


async def test_a_run_whose_workflow_was_terminated_ends_failed_with_advice(stack: Stack) -> None:
    doors = stack.judges.script = Doors()
    async with stack.worker():
        run = await stack.post(traces=1)
        await doors.reached.wait()
        await worker.reunite(stack.database, stack.eval_runs, await stack.row(run))
        assert (await stack.row(run)).status is RunStatus.RUNNING
        await stack.handle(run).terminate()
        with pytest.raises(WorkflowFailureError):
            await stack.handle(run).result()
        await worker.reunite(stack.database, stack.eval_runs, await stack.row(run))
        doors.open.set()
    row = await stack.row(run)
    assert row.status is RunStatus.FAILED
    assert "retry the run" in (row.error_message or "")
    assert await stack.scores(run) == []


async def test_the_orphanage_looks_by_itself(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "ORPHAN_SECONDS", 0.05)
    run = await row_without_workflow(stack)
    async with stack.worker(), worker.orphanage(stack.database, stack.eval_runs):
        async with asyncio.timeout(30):
            while (await stack.row(run)).status is not RunStatus.COMPLETED:
                await asyncio.sleep(0.05)


async def test_a_worker_is_known_while_it_serves_and_gone_afterwards(stack: Stack) -> None:
    started = clock.now()
    async with worker.presence(stack.database, stack.judges):
        async with stack.database.read() as db:
            offer = await workers.offered(db)
        assert offer.default_model == "scripted/judge"
        assert [row.key for row in offer.providers] == ["scripted"]
    async with stack.database.read() as db:
        assert not (await workers.offered(db)).seen
    assert clock.now() > started


async def test_a_worker_beats_so_that_its_sudden_end_is_noticed(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "BEAT_SECONDS", 0.05)

    async def last_seen() -> datetime:
        async with stack.database.read() as db:
            seen = await workers.last_seen(db)
        assert seen is not None
        return seen

    async with worker.presence(stack.database, stack.judges):
        first = await last_seen()
        async with asyncio.timeout(5):
            while await last_seen() == first:
                await asyncio.sleep(0.02)


async def test_a_worker_waits_for_a_temporal_that_is_not_up_yet() -> None:
    stop = asyncio.Event()
    settings = Settings.model_validate({"temporal_port": 1})
    waiting = asyncio.create_task(worker.connected(settings, stop))
    await asyncio.sleep(0.5)
    assert not waiting.done()
    stop.set()
    assert await asyncio.wait_for(waiting, 30) is None
