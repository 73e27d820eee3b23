"""Runs beside one another, and those who watch them."""

import asyncio
import contextlib

import pytest
from temporalio.service import RPCError

from core.tables import EvalRun
from core.temporal import batch_workflow_id
from tests.factories import store_traces
from tests.workflows.conftest import METRICS, Stack
from tests.workflows.judges import Doors
from workflows import control


async def test_who_polls_is_answered_at_once_however_busy_the_workers_are(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "SHARED_SECONDS", 0.0)
    monkeypatch.setattr(control, "KEPT_SECONDS", 60.0)
    doors = stack.judges.script = Doors()
    async with stack.worker():
        run = await stack.post(traces=1)
        await doors.reached.wait()
        known = await stack.eval_runs.progress(run.id)
        assert known is not None
        doors.open.set()
    # Nobody is left to answer: asking anew takes its two seconds.
    async with asyncio.timeout(1):
        assert await stack.eval_runs.progress(run.id) == known
    monkeypatch.setattr(control, "KEPT_SECONDS", 0.0)
    assert await stack.eval_runs.progress(run.id) is None


async def test_a_small_run_takes_turns_with_a_large_one_of_its_project(stack: Stack) -> None:
    doors = stack.judges.script = Doors()
    async with stack.worker(judge_concurrency=1):
        large = await stack.post(traces=30)
        await doors.reached.wait()
        [trace] = await store_traces(stack.database, stack.project_id, 1)
        small = await stack.post(traces=0, filters={"trace_ids": [str(trace)]})
        await until_queued(stack, small)
        doors.open.set()
        await stack.handle(small).result()
        await stack.handle(large).result()
    last = max(score.created_at for score in await stack.scores(small))
    ahead = sum(score.created_at < last for score in await stack.scores(large))
    # First come, first served would put 80 of its 90 pairs ahead; the rest come in later.
    assert ahead < 45


async def until_queued(stack: Stack, run: EvalRun) -> None:
    """Until all pairs of the run's first batch wait for the judge."""
    batch = stack.client.get_workflow_handle(batch_workflow_id(run.id, 0))
    async with asyncio.timeout(10):
        while True:
            with contextlib.suppress(RPCError):
                pending = (await batch.describe()).raw_description.pending_activities
                if sum(one.activity_type.name == "judge_pair" for one in pending) == len(METRICS):
                    return
            await asyncio.sleep(0.05)
