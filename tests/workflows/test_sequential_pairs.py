"""Without bundles, one activity judges the pairs of a trace one after another."""

import asyncio
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from temporalio import activity

from activities import pairs
from core.db.tables import EvalRun
from core.errors import JudgeBusy
from core.ids import ScoreStatus
from core.temporal.client import batch_workflow_id
from evals.judges.protocol import Question
from tests.workflows.conftest import Stack
from workflows.policies import CURRENT_LIMITS

pytestmark = pytest.mark.usefixtures("short_pauses")

IN_BATCHES = replace(CURRENT_LIMITS, pairs_without_batch=0)


async def activities_of_batch(stack: Stack, run: EvalRun) -> Counter[str]:
    batch = stack.client.get_workflow_handle(batch_workflow_id(run.id, 0))
    history = await batch.fetch_history()
    return Counter(
        event.activity_task_scheduled_event_attributes.activity_type.name
        for event in history.events
        if event.HasField("activity_task_scheduled_event_attributes")
    )


async def assert_judged_once(stack: Stack, run: EvalRun, *, pairs: int) -> None:
    await stack.handle(run).result()
    scores = await stack.scores(run)
    assert [score.status for score in scores] == [ScoreStatus.SUCCESS] * pairs
    assert set(stack.judges.asked.values()) == {1}
    assert stack.judges.asked.total() == pairs


async def test_a_run_with_enough_traces_has_an_activity_per_trace(stack: Stack) -> None:
    open_of_trace: Counter[str] = Counter()

    async def one_at_a_time(question: Question[Any], times: int) -> None:
        open_of_trace[question.trace] += 1
        await asyncio.sleep(0)
        assert open_of_trace[question.trace] == 1
        open_of_trace[question.trace] -= 1

    stack.judges.script = one_at_a_time
    async with stack.worker(judge_concurrency=2):
        run = await stack.post(traces=2, bundle=False, limits=IN_BATCHES)
        await assert_judged_once(stack, run, pairs=6)
    assert await activities_of_batch(stack, run) == {"open_pairs": 1, "judge_bundle": 2}


@pytest.mark.parametrize(
    "settings", [{"judge_concurrency": 3}, {"judge_concurrency": 2, "judge_max_per_second": 50}]
)
async def test_few_traces_or_a_limited_rate_need_an_activity_per_pair(
    stack: Stack, settings: dict[str, float]
) -> None:
    async with stack.worker(**settings):
        run = await stack.post(traces=2, bundle=False, limits=IN_BATCHES)
        await assert_judged_once(stack, run, pairs=6)
    assert await activities_of_batch(stack, run) == {"open_pairs": 1, "judge_pair": 6}


async def test_a_slow_judge_gets_an_activity_per_call(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pairs, "MAX_SEQUENCE_SECONDS", 0)
    async with stack.worker(judge_concurrency=1):
        run = await stack.post(traces=1, bundle=False, limits=IN_BATCHES)
        await assert_judged_once(stack, run, pairs=3)
    assert await activities_of_batch(stack, run) == {
        "open_pairs": 1,
        "judge_bundle": 1,
        "judge_pair": 2,
    }


async def test_a_busy_judge_is_not_asked_about_the_other_pairs(stack: Stack) -> None:
    async def busy_at_first(question: Question[Any], times: int) -> None:
        if stack.judges.asked.total() == 1:
            raise JudgeBusy("503", provider="scripted", retry_after=0.1)

    stack.judges.script = busy_at_first
    async with stack.worker(judge_concurrency=1):
        run = await stack.post(traces=1, bundle=False, limits=IN_BATCHES)
        await stack.handle(run).result()
    assert stack.judges.asked.total() == 4
    assert [score.status for score in await stack.scores(run)] == [ScoreStatus.SUCCESS] * 3
    assert await activities_of_batch(stack, run) == {
        "open_pairs": 1,
        "judge_bundle": 1,
        "judge_pair": 3,
    }


async def test_a_stopping_worker_begins_no_further_pair(stack: Stack) -> None:
    reached = asyncio.Event()

    async def until_the_worker_stops(question: Question[Any], times: int) -> None:
        reached.set()
        await activity.wait_for_worker_shutdown()

    stack.judges.script = until_the_worker_stops
    async with stack.worker(judge_concurrency=1):
        run = await stack.post(traces=1, bundle=False, limits=IN_BATCHES)
        await reached.wait()
    assert stack.judges.asked.total() == 1
    assert [score.status for score in await stack.scores(run)] == [ScoreStatus.SUCCESS]
