"""Batches of a run: a waiting batch does not delay the others, and batches do not accumulate."""

import asyncio
from typing import Any

from core.db.tables import EvalRun
from core.ids import RunStatus
from evals.judges.protocol import Question
from tests.factories import store_traces
from tests.workflows.conftest import Stack
from workflows.eval_run import EvalRunWorkflow
from workflows.policies import Limits


class HeldTraces:
    """Answers at once, except for marked traces."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.held: set[str] = set()

    async def __call__(self, question: Question[Any], times: int) -> None:
        if "order K-7" in question.trace:
            self.held.add(question.trace)
            await self.open.wait()


async def store_held(stack: Stack, *, held: int, others: int) -> None:
    for number in range(held + others):
        order = "K-7" if number < held else "K-8"
        await store_traces(
            stack.database, stack.project_id, 1, input=f"Cancel order {order} {number}."
        )


async def until_scored(stack: Stack, run: EvalRun, count: int) -> None:
    async with asyncio.timeout(20):
        while len(await stack.scores(run)) < count:
            await asyncio.sleep(0.02)


ONE_TARGET_PER_BATCH = Limits(pairs_without_batch=0, pairs_per_batch=1, batches_open=1)


async def test_a_batch_that_waits_for_its_last_pair_holds_no_other_up(stack: Stack) -> None:
    held = stack.judges.script = HeldTraces()
    await store_held(stack, held=1, others=4)
    async with stack.worker():
        run = await stack.post(
            traces=0, metric_names=["task_completion"], limits=ONE_TARGET_PER_BATCH
        )
        await until_scored(stack, run, 4)
        held.open.set()
        result = await stack.handle(run).result()
    assert (result.status, result.evaluated_count) == (RunStatus.COMPLETED, 5)


async def test_batches_that_wait_for_their_last_pairs_do_not_pile_up(stack: Stack) -> None:
    held = stack.judges.script = HeldTraces()
    await store_held(stack, held=5, others=1)
    async with stack.worker():
        run = await stack.post(
            traces=0, metric_names=["task_completion"], limits=ONE_TARGET_PER_BATCH
        )
        async with asyncio.timeout(20):
            while len(held.held) < ONE_TARGET_PER_BATCH.max_batches_open:
                await asyncio.sleep(0.02)
        # A query after all open workflow tasks: further starts would be visible.
        progress = await stack.handle(run).query(EvalRunWorkflow.progress)
        assert len(progress.open_batches) == ONE_TARGET_PER_BATCH.max_batches_open
        held.open.set()
        result = await stack.handle(run).result()
    assert result.evaluated_count == 6
