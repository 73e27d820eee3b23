"""Reservations around real judge calls: the bill fits the budget, whatever happens to the call."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

import orjson
import pytest
from pydantic import BaseModel

from activities.judging import budget_ledger
from activities.judging.budget_ledger import BudgetLedger, RunSpending
from core.db.database import Database
from core.errors import BudgetReached, JudgeBusy, JudgeError, NoPermit
from core.ids import ProjectId, RunStatus
from core.model_prices import price_of
from core.queries import budget_states, run_rows
from core.queries.budget_states import BudgetState
from core.run_spec import RunSpec
from evals.judges.protocol import Judge, Question
from evals.judges.registry import JudgeConfig, configured_judges
from tests.factories import new_run
from tests.judge_server import JudgeServer, Request, Says, Sends, fails, resets, spoken

MODEL = "openai/gpt-4o-mini"
PRICE = price_of(MODEL)
READ, WRITTEN = 300, 1_500


class Verdict(BaseModel):
    reason: str


QUESTION = Question("verdict", "<trace>the trace</trace>", "How good was it?", Verdict)


def bill(read: int, written: int) -> float:
    assert PRICE is not None
    return read * PRICE.prompt + written * PRICE.completion


def answers(request: Request, *, read: int = READ, written: int = WRITTEN) -> Sends:
    """A valid answer with this bill in tokens."""
    body = orjson.loads(spoken(Says(), request))
    body["usage"] = {
        "prompt_tokens": read,
        "completion_tokens": written,
        "total_tokens": read + written,
    }
    return Sends(body=orjson.dumps(body).decode())


@dataclass
class Bench:
    """`most_open`: the highest sum of reservations that were open at once."""

    database: Database
    project_id: ProjectId
    ledgers: list[BudgetLedger] = field(default_factory=list)

    async def run(self, **budget: Any) -> RunSpec:
        async with self.database.write() as db:
            row = await run_rows.create(db, new_run(self.project_id, model=MODEL, **budget))
            row.status = RunStatus.RUNNING
            return RunSpec.of(row)

    def question(self, run: RunSpec, text: str, ledger: BudgetLedger) -> Question[Verdict]:
        return replace(QUESTION, text=text, spending=RunSpending(ledger, run, of_month=False))

    async def state(self, run_id: UUID) -> BudgetState:
        async with self.database.read() as db:
            return (await budget_states.states(db, [run_id]))[run_id]

    async def ledger(self) -> BudgetLedger:
        made = BudgetLedger(self.database)
        self.ledgers.append(made)
        return made


@pytest.fixture
async def bench(database: Database, project_id: ProjectId) -> AsyncIterator[Bench]:
    made = Bench(database, project_id)
    yield made
    for ledger in made.ledgers:
        await ledger.__aexit__()


JudgeAt = Callable[[JudgeServer], Judge]


@pytest.fixture
async def judge_at() -> AsyncIterator[JudgeAt]:
    made = []

    def build(server: JudgeServer) -> Judge:
        config = JudgeConfig(
            model=MODEL, api_base=server.openai, environment={}, concurrency=100, timeout_seconds=5
        )
        made.append(configured_judges(config))
        return made[-1].judge(MODEL)

    yield build
    for judges in made:
        await judges.close()


async def settled(bench: Bench, run: RunSpec) -> BudgetState:
    async with asyncio.timeout(10):
        while (state := await bench.state(run.run_id)).open_tokens:
            await asyncio.sleep(0.02)
    return state


@pytest.mark.slow
async def test_two_workers_with_a_hundred_calls_open_end_within_the_budget_to_the_cent(
    bench: Bench, judge_at: JudgeAt
) -> None:
    served: list[Request] = []

    def ledger_of_the_judge(request: Request) -> Sends:
        served.append(request)
        return answers(request)

    async with JudgeServer(ledger_of_the_judge, delay=0.05) as server:
        judge = judge_at(server)
        run = await bench.run(max_cost_usd=0.15)
        ended: list[bool] = []

        async def lane(ledger: BudgetLedger, number: int) -> None:
            for turn in range(20):
                question = bench.question(run, f"{number}: {turn}", ledger)
                try:
                    await judge.ask(question)
                except BudgetReached:
                    ended.append(True)
                    return
                except NoPermit:
                    continue

        workers = [await bench.ledger(), await bench.ledger()]
        async with asyncio.timeout(40):
            await asyncio.gather(*(lane(workers[n % 2], n) for n in range(100)))
        state = await settled(bench, run)
    billed = len(served) * bill(READ, WRITTEN)
    assert ended
    assert billed <= 0.15
    assert state.spent_usd == pytest.approx(billed, abs=1e-9)
    assert billed + state.refused_usd > 0.15, "the next call would not have fitted"


@pytest.mark.parametrize(
    ("step", "spent", "uncertain"),
    [
        (fails(400, "no"), False, False),
        (fails(429, "slower", "rate_limit_exceeded"), False, False),
        (fails(504, "the gateway gave up"), True, True),
        (resets(), True, True),
    ],
    ids=["refused", "rate limited", "late", "broken off"],
)
async def test_a_call_that_fails_counts_unless_it_was_certainly_not_billed(
    bench: Bench, judge_at: JudgeAt, step: Sends, spent: bool, uncertain: bool
) -> None:
    async with JudgeServer([step]) as server:
        run = await bench.run(max_cost_usd=1.0)
        with pytest.raises(JudgeError):
            await judge_at(server).ask(bench.question(run, "?", await bench.ledger()))
        state = await settled(bench, run)
    assert (state.spent_usd > 0, state.uncertain_usd > 0) == (spent, uncertain)


async def test_a_call_that_is_cut_off_counts_in_full(bench: Bench, judge_at: JudgeAt) -> None:
    async with JudgeServer(delay=30) as server:
        run = await bench.run(max_cost_usd=1.0)
        asking = asyncio.create_task(
            judge_at(server).ask(bench.question(run, "?", await bench.ledger()))
        )
        async with asyncio.timeout(10):
            while not server.requests:
                await asyncio.sleep(0.02)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        state = await settled(bench, run)
    assert state.spent_usd == state.uncertain_usd > 0


async def test_a_repair_is_reserved_and_billed_like_any_call(
    bench: Bench, judge_at: JudgeAt
) -> None:
    def twice(request: Request) -> Sends:
        if len(server.requests) == 1:
            bad = orjson.loads(answers(request).body or "")
            bad["choices"][0]["message"]["content"] = "no JSON"
            return Sends(body=orjson.dumps(bad).decode())
        return answers(request)

    async with JudgeServer(twice) as server:
        run = await bench.run(max_cost_usd=1.0)
        made = await judge_at(server).ask(bench.question(run, "?", await bench.ledger()))
        state = await settled(bench, run)
    assert made.usage.calls == 2
    assert state.spent_usd == pytest.approx(2 * bill(READ, WRITTEN))


async def test_a_judge_that_bills_more_than_was_reserved_is_noticed(
    bench: Bench, judge_at: JudgeAt, caplog: pytest.LogCaptureFixture
) -> None:
    async with JudgeServer(lambda request: answers(request, read=90_000)) as server:
        run = await bench.run(max_cost_usd=0.002)
        ledger = await bench.ledger()
        judge = judge_at(server)
        await judge.ask(bench.question(run, "one", ledger))
        state = await settled(bench, run)
        with pytest.raises(BudgetReached):
            await judge.ask(bench.question(run, "two", ledger))
    assert state.spent_usd == pytest.approx(bill(90_000, WRITTEN))
    assert state.overbilled_usd > 0.01
    assert "were reserved for it" in caplog.text


@pytest.mark.slow
async def test_a_call_waits_for_the_bills_of_others_and_then_makes_room(
    bench: Bench, judge_at: JudgeAt, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(budget_ledger, "WAIT_SECONDS", 0.2)
    async with JudgeServer(answers, delay=1.0) as server:
        judge = judge_at(server)
        run = await bench.run(max_cost_usd=0.0025)
        ledger = await bench.ledger()
        first = asyncio.create_task(judge.ask(bench.question(run, "one", ledger)))
        async with asyncio.timeout(10):
            while not server.requests:
                await asyncio.sleep(0.02)
        with pytest.raises(JudgeBusy, match="Open calls"):
            await judge.ask(bench.question(run, "two", ledger))
        await first
        await settled(bench, run)
        await judge.ask(bench.question(run, "two", ledger))
