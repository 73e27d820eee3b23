"""The measures of a judge's calls."""

import asyncio
import contextlib

import pytest
from prometheus_client import CollectorRegistry

from core.errors import JudgeBusy
from core.telemetry import measures
from core.telemetry.measures import REGISTRY
from evals.judges.cache import Questions, RememberingJudge
from evals.judges.throttle_gauges import ThrottleGauges
from tests.evals.judges.conftest import MODELS, QUESTION, JudgesAt
from tests.fakes import Shelf
from tests.judge_server import JudgeServer, fails, hangs

MODEL = MODELS[0]
LABELS = {"provider": "openai", "model": MODEL.removeprefix("openai/")}


def value(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def counted(outcome: str) -> float:
    return value("assay_judge_calls_total", outcome=outcome, **LABELS)


async def test_each_outcome_of_a_call_is_counted(judges_at: JudgesAt) -> None:
    before = {name: counted(name) for name in ("answered", "rate limited", "unavailable")}
    tokens = value("assay_judge_tokens_total", kind="prompt", **LABELS)
    script = [fails(429, "slow down"), fails(503, "down")]
    async with JudgeServer(script) as server:
        judge = judges_at(server, MODEL).judge(MODEL)
        for _ in script:
            with pytest.raises(JudgeBusy):
                await judge.ask(QUESTION)
        await asyncio.sleep(0)
        with contextlib.suppress(JudgeBusy):
            await judge.ask(QUESTION)
    assert {name: counted(name) - before[name] for name in before} == {
        "answered": 1,
        "rate limited": 1,
        "unavailable": 1,
    }
    assert value("assay_judge_tokens_total", kind="prompt", **LABELS) - tokens == 100


async def test_questions_are_counted_by_where_their_answer_came_from(judges_at: JudgesAt) -> None:
    names = [str(name) for name in measures.Answerer]
    before = {name: value("assay_judge_questions_total", answered_by=name) for name in names}
    async with JudgeServer() as server:
        judge = RememberingJudge(judges_at(server, MODEL).judge(MODEL), Shelf(), Questions())
        await asyncio.gather(judge.ask(QUESTION), judge.ask(QUESTION))
        await judge.ask(QUESTION)
    after = {name: value("assay_judge_questions_total", answered_by=name) for name in names}
    assert [after[name] - before[name] for name in names] == [1, 1, 1]


async def test_the_rate_control_of_a_model_is_read_at_each_scrape(judges_at: JudgesAt) -> None:
    registry = CollectorRegistry()
    async with JudgeServer([hangs()]) as server:
        judges = judges_at(server, MODEL, concurrency=3)
        registry.register(ThrottleGauges(judges.throttles))
        assert not any(family.samples for family in registry.collect())
        asking = asyncio.create_task(judges.judge(MODEL).ask(QUESTION))
        async with asyncio.timeout(10):
            while not server.requests:
                await asyncio.sleep(0.01)
        families = list(registry.collect())
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
    samples = {family.name: family.samples[0] for family in families if family.samples}
    assert samples["assay_throttle_open_calls"].labels == LABELS
    assert samples["assay_throttle_open_calls"].value == 1
    assert samples["assay_throttle_limit"].value == 3
