"""Concurrent runs, and clients that poll them."""

import asyncio
import contextlib

import pytest
from temporalio.service import RPCError

from core.db.tables import EvalRun
from tests.factories import store_traces
from tests.workflows.conftest import METRICS, Stack
from tests.workflows.judges import Doors
from workflows import run_client


async def test_who_polls_is_answered_at_once_however_busy_the_workers_are(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_client, "FRESH_SECONDS", 0.0)
    monkeypatch.setattr(run_client, "STALE_SECONDS", 60.0)
    doors = stack.judges.script = Doors()
    async with stack.worker(shutdown_grace_seconds=1):
        run = await stack.post(traces=1)
        await doors.reached.wait()
        known = await stack.eval_runs.progress(run.id)
        assert known is not None
    # The run is open and no worker is left, so a new query takes its two seconds.
    async with asyncio.timeout(1):
        assert await stack.eval_runs.progress(run.id) == known
    monkeypatch.setattr(run_client, "STALE_SECONDS", 0.0)
    assert await stack.eval_runs.progress(run.id) is None


async def test_a_small_run_takes_turns_with_a_large_one_of_its_project(stack: Stack) -> None:
    doors = stack.judges.script = Doors()
    async with stack.worker(judge_concurrency=1):
        large = await stack.post(traces=30, bundle=False)
        await doors.reached.wait()
        [trace] = await store_traces(stack.database, stack.project_id, 1)
        small = await stack.post(traces=0, bundle=False, filters={"trace_ids": [str(trace)]})
        await until_queued(stack, small)
        doors.open.set()
        await stack.handle(small).result()
        await stack.handle(large).result()
    last = max(score.created_at for score in await stack.scores(small))
    ahead = sum(score.created_at < last for score in await stack.scores(large))
    # Without fairness, 80 of its 90 pairs would come first; its other pairs are queued later.
    assert ahead < 45


async def until_queued(stack: Stack, run: EvalRun) -> None:
    """Waits until all pairs of the run wait for the judge."""
    workflow = stack.handle(run)
    async with asyncio.timeout(10):
        while True:
            with contextlib.suppress(RPCError):
                pending = (await workflow.describe()).raw_description.pending_activities
                if sum(one.activity_type.name == "judge_pair" for one in pending) == len(METRICS):
                    return
            await asyncio.sleep(0.05)
