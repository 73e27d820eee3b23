import asyncio
from collections import Counter
from typing import Any

import pytest
from temporalio.client import WorkflowExecutionStatus, WorkflowFailureError

from activities import gate
from core.errors import JudgeBusy, JudgeFailed, JudgeUnusable
from core.ids import RunStatus, ScoreStatus
from core.queries import pairs, runs, targets
from core.tables import EvalRun
from evals.judge import Question
from tests.conftest import make_project
from tests.factories import new_run, store_traces
from tests.workflows.conftest import METRICS, Stack
from tests.workflows.judges import Doors
from workflows.control import RunToStart
from workflows.evaluation import EvalRunWorkflow
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
            row = await runs.create(db, new_run_of(stack))
        progress = await stack.eval_runs.start(RunToStart.of(row), wait_seconds=5)
        assert progress is not None
        assert (progress.status, progress.total_targets) == (RunStatus.RUNNING, 3)
        doors.open.set()
        await stack.handle(row).result()


def new_run_of(stack: Stack, **overrides: Any) -> runs.NewRun:
    return new_run(
        stack.project_id, **({"metric_names": METRICS, "model": "scripted/judge"} | overrides)
    )


async def test_a_run_posted_while_no_worker_is_up_waits_for_one(stack: Stack) -> None:
    run = await stack.post(traces=2, wait_seconds=0.2)
    assert (await stack.row(run)).status is RunStatus.PENDING
    async with stack.worker():
        await stack.handle(run).result()
    assert (await stack.row(run)).status is RunStatus.COMPLETED


async def test_a_stage_shared_by_metrics_is_asked_once(stack: Stack) -> None:
    async with stack.worker():
        run = await stack.post(traces=4)
        await stack.handle(run).result()
    assert set(stack.judges.asked.values()) == {1}
    stages = Counter(stage for stage, _, _ in stack.judges.asked)
    assert stages["task"] == 4
    row = await stack.row(run)
    assert row.usage is not None
    assert row.usage["judge_calls"] == stack.judges.asked.total()
    assert row.usage["cost_usd"] == pytest.approx(0.001 * stack.judges.asked.total())


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
        run = await stack.post(traces=11, limits=Limits(pairs_per_batch=6, batches_per_run=2))
        result = await stack.handle(run).result()
    assert (result.total_targets, result.evaluated_count) == (11, 11)
    assert await stack.continuations(run) == 2
    assert len(await stack.scores(run)) == 33


class HeldTraces:
    """Answers at once, save over the traces that say so."""

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


ONE_TARGET_A_BATCH = Limits(pairs_per_batch=1, batches_open=1)


async def test_a_batch_that_waits_for_its_last_pair_holds_no_other_up(stack: Stack) -> None:
    held = stack.judges.script = HeldTraces()
    await store_held(stack, held=1, others=4)
    async with stack.worker():
        run = await stack.post(
            traces=0, metric_names=["task_completion"], limits=ONE_TARGET_A_BATCH
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
            traces=0, metric_names=["task_completion"], limits=ONE_TARGET_A_BATCH
        )
        async with asyncio.timeout(20):
            while len(held.held) < ONE_TARGET_A_BATCH.most_batches_open:
                await asyncio.sleep(0.02)
        # What has been started by now answers this; what would be started would be in it.
        progress = await stack.handle(run).query(EvalRunWorkflow.progress)
        assert len(progress.open_batches) == ONE_TARGET_A_BATCH.most_batches_open
        held.open.set()
        result = await stack.handle(run).result()
    assert result.evaluated_count == 6


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
        if question.stage == "verdict" and "tool" in question.text.splitlines()[0]:
            raise JudgeFailed("The judge answered 7.", provider="scripted")

    stack.judges.script = one_bad
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
        if question.stage == "task":
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
            retry = await pairs.create_retry(db, stack.project_id, run.id)
        await stack.eval_runs.start(RunToStart.of(retry), wait_seconds=5)
        await stack.handle(retry).result()
    judged_again = await stack.scores(retry)
    assert len(kept) + len(judged_again) == 30


async def test_cancelling_stops_judging_at_the_next_call(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "FRESH_SECONDS", 0.0)
    doors = stack.judges.script = Doors()
    async with stack.worker(judge_concurrency=3):
        run = await stack.post(traces=10)
        await doors.reached.wait()
        async with stack.database.write() as db:
            await runs.request_cancel(db, stack.project_id, run.id)
        await stack.eval_runs.cancel(run.id)
        with pytest.raises(WorkflowFailureError):
            await stack.handle(run).result()
        asked = stack.judges.asked.total()
        doors.open.set()
    row = await stack.row(run)
    assert row.status is RunStatus.FAILED
    assert "Cancelled" in (row.error_message or "")
    assert stack.judges.asked.total() == asked
    assert await stack.scores(run) == []
    described = await stack.handle(run).describe()
    assert described.status is WorkflowExecutionStatus.CANCELED


async def test_a_cancel_that_never_reached_temporal_ends_the_run_all_the_same(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "FRESH_SECONDS", 0.0)
    doors = stack.judges.script = Doors()
    async with stack.worker():
        run = await stack.post(traces=10)
        await doors.reached.wait()
        async with stack.database.write() as db:
            await runs.request_cancel(db, stack.project_id, run.id)
        doors.open.set()
        result = await stack.handle(run).result()
    row = await stack.row(run)
    assert (row.status, row.error_message) == (RunStatus.FAILED, runs.CANCELLED)
    assert (result.status, result.error_message) == (RunStatus.FAILED, runs.CANCELLED)
    assert await stack.scores(run) == []


async def test_a_run_cancelled_while_no_worker_is_up_ends_when_one_comes(stack: Stack) -> None:
    run = await stack.post(traces=2, wait_seconds=0.2)
    async with stack.database.write() as db:
        await runs.request_cancel(db, stack.project_id, run.id)
    await stack.eval_runs.cancel(run.id)
    async with stack.worker():
        with pytest.raises(WorkflowFailureError):
            await stack.handle(run).result()
    assert (await stack.row(run)).status is RunStatus.FAILED
    assert stack.judges.asked.total() == 0


async def test_a_run_deleted_while_it_judges_leaves_no_score(stack: Stack) -> None:
    doors = stack.judges.script = Doors()
    async with stack.worker():
        run = await stack.post(traces=2)
        await doors.reached.wait()
        async with stack.database.write() as db:
            await runs.remove(db, stack.project_id, run.id, delete_scores=True)
        doors.open.set()
        await stack.handle(run).result()
    assert await stack.scores(run) == []


async def test_a_trace_deleted_before_it_was_judged_fails_its_pairs(stack: Stack) -> None:
    async with stack.worker():
        other = await make_project(stack.database, "other")
        [foreign] = await store_traces(stack.database, other, 1)
        run = await stack.post(traces=0, filters={"trace_ids": [str(foreign)]})
        await stack.handle(run).result()
    scores = await stack.scores(run)
    assert {score.reason for score in scores} == {f"No trace {foreign} in this project."}
    assert (await stack.row(run)).failed_count == 3


async def test_progress_is_seen_while_the_run_goes_on(stack: Stack) -> None:
    doors = stack.judges.script = Doors()
    async with stack.worker():
        run = await stack.post(traces=2)
        await doors.reached.wait()
        progress = await stack.eval_runs.progress(run.id)
        assert progress is not None
        assert (progress.status, progress.total_targets, progress.activity) == (
            RunStatus.RUNNING,
            2,
            "judging",
        )
        doors.open.set()
        await stack.handle(run).result()


async def test_without_a_worker_progress_is_unknown_within_two_seconds(stack: Stack) -> None:
    run = await stack.post(traces=1, wait_seconds=0.2)
    async with asyncio.timeout(2.5):
        assert await stack.eval_runs.progress(run.id) is None


async def test_an_operator_finds_a_run_and_reads_what_it_is(stack: Stack) -> None:
    async with stack.worker():
        run = await stack.post(traces=1, name="Nightly")
        await stack.handle(run).result()
    described = await stack.handle(run).describe()
    attributes = {pair.key.name: pair.value for pair in described.typed_search_attributes}
    assert attributes["AssayProject"] == str(stack.project_id)
    assert attributes["AssayRunStatus"] == "COMPLETED"
    assert attributes["AssayTargetType"] == "TRACE"
    assert await described.static_summary() == f"Nightly · {', '.join(METRICS)}"
    assert str(run.id) in (await described.static_details() or "")


async def test_the_sample_of_a_run_is_the_one_its_row_says(stack: Stack) -> None:
    async with stack.worker():
        run = await stack.post(traces=8, sampling_rate=0.5)
        await stack.handle(run).result()
    assert len(await stack.scores(run)) == 4 * 3
    assert (await stack.row(run)).total_targets == targets.sample_size(8, 0.5)
