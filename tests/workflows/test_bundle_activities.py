"""One activity tries the pairs of a trace together; the remaining pairs are judged one by one."""

import asyncio
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError
from temporalio.client import WorkflowFailureError

from activities.judging import retry_budget
from activities.judging.write_buffer import WriteBuffer
from core.db.tables import EvalRun
from core.errors import JudgeBusy, JudgeUnusable
from core.ids import RunStatus, ScoreStatus
from core.queries.run_pairs import NewScore
from evals.judges.protocol import Question, Usage
from tests.workflows.conftest import METRICS, Stack
from tests.workflows.judges import Doors

pytestmark = pytest.mark.usefixtures("short_pauses")


async def scheduled(stack: Stack, run: EvalRun) -> list[str]:
    """The activities of a run without batches."""
    history = await stack.handle(run).fetch_history()
    return [
        event.activity_task_scheduled_event_attributes.activity_type.name
        for event in history.events
        if event.HasField("activity_task_scheduled_event_attributes")
    ]


async def test_the_pairs_of_a_trace_take_one_activity(stack: Stack) -> None:
    async with stack.worker():
        run = await stack.post(traces=2, with_pairs=True)
        await stack.handle(run).result()
        alone = await stack.post(traces=1, with_pairs=True, bundle=False)
        await stack.handle(alone).result()
    assert await scheduled(stack, run) == ["judge_bundle"] * 2
    assert await scheduled(stack, alone) == ["judge_pair"] * 3
    scores = await stack.scores(run)
    assert [score.status for score in scores] == [ScoreStatus.SUCCESS] * 6
    progress = await stack.handle(run).result()
    assert (progress.evaluated_count, progress.failed_count) == (2, 0)


async def test_a_busy_judge_costs_a_bundle_nothing_twice(stack: Stack) -> None:
    async def busy_after_a_call(question: Question[Any], times: int) -> None:
        if times == 1:
            busy = JudgeBusy("503", provider="scripted", retry_after=0.1)
            raise busy.having_spent(Usage(calls=1, prompt_tokens=100, cost_usd=0.002))

    stack.judges.script = busy_after_a_call
    async with stack.worker():
        run = await stack.post(traces=1, with_pairs=True)
        await stack.handle(run).result()
    assert await scheduled(stack, run) == ["judge_bundle", *["judge_pair"] * 3]
    scores = await stack.scores(run)
    assert [score.status for score in scores] == [ScoreStatus.SUCCESS] * 3
    assert stack.judges.asked.total() == 2
    assert sum(score.judge_calls for score in scores) == 2
    assert sum(score.cost_usd or 0 for score in scores) == pytest.approx(0.003)


async def test_a_part_that_cannot_be_judged_now_holds_up_no_other(stack: Stack) -> None:
    waiting, mended = asyncio.Event(), asyncio.Event()

    async def alone_later(question: Question[Any], times: int) -> None:
        if question.shared_by == 1 and not mended.is_set():
            waiting.set()
            raise JudgeBusy("429", provider="scripted", retry_after=0.1, rate_limited=True)

    stack.judges.script = alone_later
    stack.judges.spoiled = frozenset({"tool_correctness"})
    async with stack.worker():
        run = await stack.post(traces=1, with_pairs=True)
        await waiting.wait()
        async with asyncio.timeout(10):
            while len(await stack.scores(run)) < 2:
                await asyncio.sleep(0.02)
        others = {score.name for score in await stack.scores(run)}
        mended.set()
        await stack.handle(run).result()
    assert others == {*METRICS} - {"tool_correctness"}
    assert await scheduled(stack, run) == ["judge_bundle", "judge_pair"]
    scores = await stack.scores(run)
    assert [score.status for score in scores] == [ScoreStatus.SUCCESS] * 3
    # The shared call, and the call for the part alone.
    assert sum(score.judge_calls for score in scores) == 2


@pytest.mark.parametrize("alone_fails", [False, True], ids=["once", "for good"])
async def test_a_refused_part_costs_its_share_of_the_shared_call_once(
    stack: Stack, alone_fails: bool
) -> None:
    async def refuse_alone(question: Question[Any], times: int) -> None:
        if question.shared_by == 1 and (alone_fails or times == 1):
            refusal = JudgeUnusable("403", provider="scripted", unmistakable=False, at_once=False)
            raise refusal.having_spent(Usage(calls=1, prompt_tokens=7, cost_usd=0.0005))

    stack.judges.script = refuse_alone
    stack.judges.spoiled = frozenset({"tool_correctness"})
    async with stack.worker():
        run = await stack.post(traces=1, with_pairs=True)
        await stack.handle(run).result()
    scores = await stack.scores(run)
    failed = [score.name for score in scores if score.status is ScoreStatus.FAILED]
    assert failed == (["tool_correctness"] if alone_fails else [])
    answered = 1 if alone_fails else 2
    refused = stack.judges.asked.total() - answered
    assert refused >= 1
    assert sum(score.judge_calls for score in scores) == refused + answered
    tokens = sum(score.prompt_tokens for score in scores)
    assert tokens == refused * 7 + answered * 100
    cost = sum(score.cost_usd or 0 for score in scores)
    assert cost == pytest.approx(refused * 0.0005 + answered * 0.001)


async def test_a_pair_that_gives_up_pays_its_share_of_the_shared_call(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry_budget, "MAX_OUTAGE_SECONDS", 0.1)

    async def busy_alone(question: Question[Any], _times: int) -> None:
        if question.shared_by == 1:
            raise JudgeBusy("503", provider="scripted", retry_after=0.1)

    stack.judges.script = busy_alone
    stack.judges.spoiled = frozenset({"tool_correctness"})
    async with stack.worker():
        run = await stack.post(traces=1, with_pairs=True)
        await stack.handle(run).result()
    scores = await stack.scores(run)
    assert [score.name for score in scores if score.status is ScoreStatus.FAILED] == [
        "tool_correctness"
    ]
    assert sum(score.prompt_tokens for score in scores) == 100
    assert sum(score.cost_usd or 0 for score in scores) == pytest.approx(0.001)


async def test_an_answer_is_paid_by_the_attempt_that_writes_its_score(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    writes: list[NewScore] = []
    write = WriteBuffer.keep_score

    async def unavailable_once(self: WriteBuffer, score: NewScore) -> bool:
        writes.append(score)
        if len(writes) == 1:
            raise OperationalError("", {}, Exception("The database is restarting."))
        return await write(self, score)

    monkeypatch.setattr(WriteBuffer, "keep_score", unavailable_once)
    async with stack.worker():
        run = await stack.post(traces=1, metric_names=["step_efficiency"])
        await stack.handle(run).result()
    assert len(writes) == 2
    assert stack.judges.asked.total() == 1
    [score] = await stack.scores(run)
    assert (score.judge_calls, score.cached_calls) == (1, 0)
    assert score.cost_usd == pytest.approx(0.001)


async def test_a_pair_that_temporal_gives_up_records_what_its_bundle_spent(stack: Stack) -> None:
    async def busy_then_broken(question: Question[Any], times: int) -> None:
        if times > 1:
            raise KeyError("a bug")
        busy = JudgeBusy("503", provider="scripted", retry_after=0.1)
        raise busy.having_spent(Usage(calls=1, prompt_tokens=100, cost_usd=0.002))

    stack.judges.script = busy_then_broken
    async with stack.worker():
        run = await stack.post(traces=1, with_pairs=True)
        await stack.handle(run).result()
    scores = await stack.scores(run)
    assert [score.status for score in scores] == [ScoreStatus.FAILED] * 3
    assert sum(score.judge_calls for score in scores) == 1
    assert sum(score.cost_usd or 0 for score in scores) == pytest.approx(0.002)


async def test_a_pair_whose_score_cannot_be_written_records_its_answer(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = WriteBuffer.keep_score

    async def unless_successful(self: WriteBuffer, score: NewScore) -> bool:
        if score.status is ScoreStatus.SUCCESS:
            raise KeyError("a bug")
        return await write(self, score)

    monkeypatch.setattr(WriteBuffer, "keep_score", unless_successful)
    async with stack.worker():
        run = await stack.post(traces=1, metric_names=["step_efficiency"])
        await stack.handle(run).result()
    assert stack.judges.asked.total() == 1
    [score] = await stack.scores(run)
    assert (score.status, score.judge_calls) == (ScoreStatus.FAILED, 1)
    assert score.cost_usd == pytest.approx(0.001)


async def test_a_lost_worker_leaves_its_bundle_to_single_pairs(stack: Stack) -> None:
    doors = stack.judges.script = Doors()
    async with stack.worker():
        run = await stack.post(traces=1, with_pairs=True)
        await doors.reached.wait()
        [pending] = await stack.eval_runs.pending_activities(run.id)
        assert pending.judges
        await stack.eval_runs.fail_attempt(pending, "The worker was killed.")
        doors.open.set()
        await stack.handle(run).result()
    assert await scheduled(stack, run) == ["judge_bundle", *["judge_pair"] * 3]
    scores = await stack.scores(run)
    assert [score.status for score in scores] == [ScoreStatus.SUCCESS] * 3


async def test_a_refused_key_stops_the_run_at_its_first_bundle(stack: Stack) -> None:
    async def bad_key(_question: Question[Any], _times: int) -> None:
        raise JudgeUnusable("Incorrect API key provided.", provider="scripted")

    stack.judges.script = bad_key
    async with stack.worker():
        run = await stack.post(traces=1, with_pairs=True)
        with pytest.raises(WorkflowFailureError):
            await stack.handle(run).result()
    assert await scheduled(stack, run) == ["judge_bundle"]
    assert stack.judges.asked.total() == 1
    row = await stack.row(run)
    assert (row.status, row.error_message) == (RunStatus.FAILED, "Incorrect API key provided.")
