"""How long a pair keeps retrying its provider."""

import asyncio
from typing import Any

import pytest

from activities.judging import retry_budget
from core.errors import JudgeBusy, JudgeFailed
from core.ids import RunStatus, ScoreStatus, TargetType
from evals.judges.protocol import Question, Usage
from tests.factories import store_traces
from tests.fakes import FakeEmbedder
from tests.workflows.conftest import Stack

pytestmark = pytest.mark.usefixtures("short_pauses")


async def test_an_outage_is_measured_across_attempts_and_then_ends_the_pair(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry_budget, "MAX_OUTAGE_SECONDS", 1.0)

    async def away(question: Question[Any], times: int) -> None:
        raise JudgeBusy("Nobody answers.", provider="scripted", retry_after=0.2)

    stack.judges.script = away
    async with stack.worker():
        run = await stack.post(traces=1, metric_names=["step_efficiency"])
        await stack.handle(run).result()
    [score] = await stack.scores(run)
    assert score.status is ScoreStatus.FAILED
    assert score.reason == "Gave up waiting for the judge: Nobody answers."
    assert stack.judges.asked.total() > 1
    assert (await stack.row(run)).status is RunStatus.COMPLETED


async def test_a_rate_limit_ends_the_clock_of_an_outage(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry_budget, "MAX_OUTAGE_SECONDS", 0.5)

    async def in_turns(question: Question[Any], times: int) -> None:
        if question.stage == "step_efficiency" and times <= 6:
            raise JudgeBusy(
                "busy", provider="scripted", retry_after=0.3, rate_limited=times % 2 == 0
            )

    stack.judges.script = in_turns
    async with stack.worker():
        run = await stack.post(traces=1, metric_names=["step_efficiency"])
        await stack.handle(run).result()
    [score] = await stack.scores(run)
    assert score.status is ScoreStatus.SUCCESS


async def test_answers_without_a_score_end_the_pair(stack: Stack) -> None:
    async def useless(question: Question[Any], times: int) -> None:
        busy = JudgeBusy("503", provider="scripted", retry_after=0.1)
        raise busy.having_spent(Usage(calls=retry_budget.MAX_JUDGE_CALLS - 1))

    stack.judges.script = useless
    async with stack.worker():
        run = await stack.post(traces=1, metric_names=["step_efficiency"])
        await stack.handle(run).result()
    [score] = await stack.scores(run)
    assert score.status is ScoreStatus.FAILED
    assert score.reason == "Gave up after 498 judge calls without a score: 503"
    assert score.judge_calls == 498
    assert stack.judges.asked.total() == 2


async def test_what_failed_attempts_paid_is_on_the_bill(stack: Stack) -> None:
    async def busy_after_a_call(question: Question[Any], times: int) -> None:
        if times == 1:
            busy = JudgeBusy("503", provider="scripted", retry_after=0.1)
            raise busy.having_spent(Usage(calls=1, prompt_tokens=100, cost_usd=0.001))

    stack.judges.script = busy_after_a_call
    async with stack.worker():
        run = await stack.post(traces=1, metric_names=["step_efficiency"])
        await stack.handle(run).result()
    [score] = await stack.scores(run)
    assert (score.judge_calls, score.cached_calls) == (2, 0)
    assert score.meta["judge"]["calls"] == 2
    assert score.cost_usd == pytest.approx(0.002)
    assert score.repair_calls == 1
    assert score.repair_cost_usd == pytest.approx(0.001)
    row = await stack.row(run)
    assert row.usage is not None
    assert (row.usage["repair_calls"], row.usage["repair_cost_usd"]) == (1, 0.001)


async def test_what_a_failed_pair_cost_is_on_the_bill(stack: Stack) -> None:
    async def refused(question: Question[Any], times: int) -> None:
        refusal = JudgeFailed("It refused.", provider="scripted")
        raise refusal.having_spent(Usage(calls=3, prompt_tokens=300, cost_usd=0.003))

    stack.judges.script = refused
    async with stack.worker():
        run = await stack.post(traces=1, metric_names=["step_efficiency"])
        await stack.handle(run).result()
    [score] = await stack.scores(run)
    assert score.status is ScoreStatus.FAILED
    assert score.judge_calls == 3
    assert score.cost_usd == pytest.approx(0.003)
    row = await stack.row(run)
    assert row.usage is not None
    assert row.usage["judge_calls"] == 3


async def test_an_unexpected_error_drops_no_usage_of_another_trace(
    stack: Stack,
) -> None:
    stack.judges.embeds = FakeEmbedder()
    await store_traces(stack.database, stack.project_id, 2, session_id="s")
    both, first = asyncio.Barrier(2), set[str]()

    async def one_busy_one_broken(question: Question[Any], _times: int) -> None:
        if question.trace in first or len(first) == 2:
            return
        first.add(question.trace)
        broken = len(first) == 1
        await both.wait()
        if broken:
            raise KeyError("a bug")
        busy = JudgeBusy("503", provider="scripted", retry_after=0.1)
        raise busy.having_spent(Usage(calls=1, prompt_tokens=7))

    stack.judges.script = one_busy_one_broken
    async with stack.worker():
        run = await stack.post(
            traces=0, target_type=TargetType.SESSION, metric_names=["agent_reliability"]
        )
        async with asyncio.timeout(20):
            await stack.handle(run).result()
    scores = await stack.scores(run)
    assert {score.status for score in scores} == {ScoreStatus.SUCCESS}
    [session] = [score for score in scores if score.target_type is TargetType.SESSION]
    assert (session.judge_calls, session.prompt_tokens) == (1, 7)
