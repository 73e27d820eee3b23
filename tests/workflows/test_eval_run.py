import asyncio
from collections import Counter
from typing import Any

import pytest
from temporalio.client import WorkflowFailureError

from core.errors import JudgeBusy, JudgeFailed, JudgeUnusable
from core.ids import RunStatus, ScoreStatus
from core.queries import run_retry, run_rows, run_sampling
from core.run_spec import RunSpec
from evals.judges.protocol import Question
from tests.factories import new_run, store_traces
from tests.workflows.conftest import METRICS, Stack
from tests.workflows.judges import Doors
from workflows.policies import Limits


async def test_every_pair_of_a_run_gets_one_score(stack: Stack) -> None:
    async with stack.worker():
        run = await stack.post(traces=5)
        result = await stack.handle(run).result()
    scores = await stack.scores(run)
    assert Counter(score.name for score in scores) == dict.fromkeys(METRICS, 5)
    assert {score.status for score in scores} == {ScoreStatus.SUCCESS}
    row = await stack.row(run)
    assert (row.status, row.total_targets, row.evaluated_count, row.failed_count) == (
        RunStatus.COMPLETED,
        5,
        5,
        0,
    )
    assert row.completed_at is not None
    assert (result.status, result.evaluated_count, result.activity) == (
        RunStatus.COMPLETED,
        5,
        None,
    )


async def test_starting_a_run_answers_with_its_targets_known(stack: Stack) -> None:
    async with stack.worker():
        doors = stack.judges.script = Doors()
        await store_traces(stack.database, stack.project_id, 3)
        async with stack.database.write() as db:
            row = await run_rows.create(db, new_run_of(stack))
        progress = await stack.eval_runs.start(RunSpec.of(row), wait_seconds=5)
        assert progress is not None
        assert (progress.status, progress.total_targets) == (RunStatus.RUNNING, 3)
        doors.open.set()
        await stack.handle(row).result()


def new_run_of(stack: Stack, **overrides: Any) -> run_rows.NewRun:
    return new_run(
        stack.project_id, **({"metric_names": METRICS, "model": "scripted/judge"} | overrides)
    )


async def test_a_run_posted_while_no_worker_is_up_waits_for_one(stack: Stack) -> None:
    run = await stack.post(traces=2, wait_seconds=0.2)
    assert (await stack.row(run)).status is RunStatus.PENDING
    async with stack.worker():
        await stack.handle(run).result()
    assert (await stack.row(run)).status is RunStatus.COMPLETED


async def test_every_question_is_asked_once(stack: Stack) -> None:
    async with stack.worker():
        run = await stack.post(traces=4)
        await stack.handle(run).result()
    assert set(stack.judges.asked.values()) == {1}
    row = await stack.row(run)
    assert row.usage is not None
    assert row.usage["judge_calls"] == stack.judges.asked.total()
    assert row.usage["cost_usd"] == pytest.approx(0.001 * stack.judges.asked.total())


async def test_the_metrics_of_a_trace_are_one_call_whose_cost_they_share(stack: Stack) -> None:
    async with stack.worker():
        run = await stack.post(traces=4)
        await stack.handle(run).result()
    assert stack.judges.asked.total() == 4
    scores = await stack.scores(run)
    assert sum(score.judge_calls for score in scores) == 4
    assert sum(score.prompt_tokens for score in scores) == 400
    assert sorted(score.prompt_tokens for score in scores) == [33] * 8 + [34] * 4
    assert {score.name for score in scores if score.judge_calls} == {"task_completion"}
    assert sum(score.cost_usd or 0 for score in scores) == pytest.approx(0.004)
    assert {score.meta["judge"]["metrics_in_call"] for score in scores} == {3}


async def test_a_run_may_ask_each_metric_alone(stack: Stack) -> None:
    async with stack.worker():
        run = await stack.post(traces=2, bundle=False)
        await stack.handle(run).result()
    assert stack.judges.asked.total() == 2 * len(METRICS)
    assert all("metrics_in_call" not in one.meta["judge"] for one in await stack.scores(run))


async def test_a_retry_asks_only_what_it_retries(stack: Stack) -> None:
    async def one_bad(question: Question[Any], times: int) -> None:
        if question.stage == "tool_correctness":
            raise JudgeFailed("The judge answered 7.", provider="scripted")

    async def mended(question: Question[Any], times: int) -> None: ...

    stack.judges.script = one_bad
    stack.judges.spoiled = frozenset({"tool_correctness"})
    async with stack.worker():
        run = await stack.post(traces=1)
        await stack.handle(run).result()
        stack.judges.script = mended
        asked = stack.judges.asked.total()
        async with stack.database.write() as db:
            retried = await run_retry.create(db, stack.project_id, run.id)
        await stack.eval_runs.start(RunSpec.of(retried), wait_seconds=5)
        await stack.handle(retried).result()
    assert stack.judges.asked.total() == asked + 1
    [score] = await stack.scores(retried)
    assert (score.name, score.judge_calls) == ("tool_correctness", 1)


async def test_a_second_run_pays_for_nothing_the_first_has_paid_for(stack: Stack) -> None:
    async with stack.worker():
        first = await stack.post(traces=3)
        await stack.handle(first).result()
        asked = stack.judges.asked.total()
        second = await stack.post(traces=0)
        await stack.handle(second).result()
    assert stack.judges.asked.total() == asked
    row = await stack.row(second)
    assert row.evaluated_count == 3
    assert row.usage is not None
    assert (row.usage["judge_calls"], row.usage["cost_usd"]) == (0, 0)


async def test_a_fresh_run_asks_again_but_nothing_twice(stack: Stack) -> None:
    async with stack.worker():
        first = await stack.post(traces=2)
        await stack.handle(first).result()
        asked = stack.judges.asked.total()
        again = await stack.post(traces=0, fresh=True)
        await stack.handle(again).result()
        assert stack.judges.asked.total() == 2 * asked
        assert set(stack.judges.asked.values()) == {2}
        later = await stack.post(traces=0)
        await stack.handle(later).result()
    assert stack.judges.asked.total() == 2 * asked


async def test_an_empty_sample_completes_at_once(stack: Stack) -> None:
    async with stack.worker():
        run = await stack.post(traces=3, sampling_rate=0.0)
        await stack.handle(run).result()
    row = await stack.row(run)
    assert (row.status, row.total_targets) == (RunStatus.COMPLETED, 0)


async def test_a_run_longer_than_its_history_may_be_continues_as_new(
    stack: Stack,
) -> None:
    async with stack.worker():
        run = await stack.post(
            traces=11, limits=Limits(pairs_without_batch=0, pairs_per_batch=6, batches_per_run=2)
        )
        result = await stack.handle(run).result()
    assert (result.total_targets, result.evaluated_count) == (11, 11)
    assert await stack.continuations(run) == 2
    assert len(await stack.scores(run)) == 33


@pytest.mark.usefixtures("short_pauses")
async def test_a_busy_provider_is_asked_again_and_nothing_fails(stack: Stack) -> None:
    async def busy_at_first(question: Question[Any], times: int) -> None:
        if times == 1:
            raise JudgeBusy("429", provider="scripted", retry_after=0.1, rate_limited=True)
        if times == 2:
            raise JudgeBusy("503", provider="scripted", retry_after=0.1)

    stack.judges.script = busy_at_first
    async with stack.worker():
        run = await stack.post(traces=2)
        await stack.handle(run).result()
    row = await stack.row(run)
    assert (row.status, row.evaluated_count, row.failed_count) == (RunStatus.COMPLETED, 2, 0)


async def test_an_answer_that_stays_bad_fails_its_pair_and_no_other(stack: Stack) -> None:
    async def one_bad(question: Question[Any], times: int) -> None:
        if question.stage == "tool_correctness":
            raise JudgeFailed("The judge answered 7.", provider="scripted")

    stack.judges.script = one_bad
    stack.judges.spoiled = frozenset({"tool_correctness"})
    async with stack.worker():
        run = await stack.post(traces=2)
        await stack.handle(run).result()
    scores = await stack.scores(run)
    failed = [score for score in scores if score.status is ScoreStatus.FAILED]
    assert {score.name for score in failed} == {"tool_correctness"}
    assert {score.reason for score in failed} == {"The judge answered 7."}
    row = await stack.row(run)
    assert (row.status, row.evaluated_count, row.failed_count) == (RunStatus.COMPLETED, 2, 2)


async def test_an_unforeseen_error_fails_its_pair_after_three_attempts(stack: Stack) -> None:
    async def broken(question: Question[Any], times: int) -> None:
        if question.stage == "step_efficiency":
            raise KeyError("a bug")

    stack.judges.script = broken
    async with stack.worker():
        run = await stack.post(traces=1, metric_names=["step_efficiency"])
        await stack.handle(run).result()
    [score] = await stack.scores(run)
    assert score.status is ScoreStatus.FAILED
    assert score.reason == "Unexpected KeyError; the worker's log has the details."
    assert stack.judges.asked.total() == 3


async def test_an_error_no_pair_survives_stops_the_run_and_a_retry_completes_it(
    stack: Stack,
) -> None:
    mended = asyncio.Event()

    async def bad_key(question: Question[Any], times: int) -> None:
        if stack.judges.asked.total() > 4 and not mended.is_set():
            raise JudgeUnusable("Incorrect API key provided.", provider="scripted")

    stack.judges.script = bad_key
    async with stack.worker(judge_concurrency=2):
        run = await stack.post(traces=10)
        with pytest.raises(WorkflowFailureError):
            await stack.handle(run).result()
        row = await stack.row(run)
        kept = await stack.scores(run)
        assert (row.status, row.error_message) == (
            RunStatus.FAILED,
            "Incorrect API key provided.",
        )
        assert len(kept) < 30
        assert {score.status for score in kept} <= {ScoreStatus.SUCCESS}
        mended.set()
        async with stack.database.write() as db:
            retry = await run_retry.create(db, stack.project_id, run.id)
        await stack.eval_runs.start(RunSpec.of(retry), wait_seconds=5)
        await stack.handle(retry).result()
    judged_again = await stack.scores(retry)
    assert len(kept) + len(judged_again) == 30


async def test_the_sample_of_a_run_is_the_one_its_row_says(stack: Stack) -> None:
    async with stack.worker():
        run = await stack.post(traces=8, sampling_rate=0.5)
        await stack.handle(run).result()
    assert len(await stack.scores(run)) == 4 * 3
    assert (await stack.row(run)).total_targets == run_sampling.sample_size(8, 0.5)
