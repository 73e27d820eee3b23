"""Who pays for a stored answer, and which share."""

import asyncio
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import Any

import pytest

from core.errors import BudgetReached
from core.judgement import StoredJudgement
from evals.judges.cache import Questions
from evals.judges.protocol import Judgement, Question, Usage
from evals.judges.spending import UNLIMITED, Hold
from tests.evals.judges.test_cache import (
    ANOTHER_RUN,
    ANSWER,
    RUN,
    question,
    remembering,
    shared,
)
from tests.fakes import ONE_CALL, ScriptedJudge, Shelf

WHOLE = Usage(
    calls=2,
    prompt_tokens=301,
    completion_tokens=20,
    cost_usd=0.001,
    latency_ms=5,
    repair_calls=1,
    repair_cost_usd=0.0004,
)


class Dear(ScriptedJudge):
    async def ask(self, question: Question[Any]) -> Judgement[Any]:
        return Judgement((await super().ask(question)).answer, WHOLE)


def total(usages: list[Usage]) -> Usage:
    return sum(usages, Usage())


@pytest.mark.parametrize("at_once", [True, False])
async def test_the_shares_of_a_call_add_up_to_it_exactly(at_once: bool) -> None:
    judge, shelf, flights = Dear({"task": ANSWER}), Shelf(), Questions()
    memory = remembering(judge, shelf, flights, RUN)
    if at_once:
        found = await asyncio.gather(*(memory.ask(shared(place)) for place in (2, 0, 1)))
    else:
        found = [await memory.ask(shared(place)) for place in (2, 0, 1)]
    usages = [judgement.usage for judgement in found]
    assert len(judge.questions) == 1
    assert [usage.calls for usage in usages] == [0, 2, 0]
    assert [usage.prompt_tokens for usage in usages] == [100, 101, 100]
    assert [usage.completion_tokens for usage in usages] == [6, 8, 6]
    summed = total(usages)
    assert (summed.calls, summed.prompt_tokens, summed.completion_tokens) == (2, 301, 20)
    assert summed.cost_usd == WHOLE.cost_usd
    assert summed.repair_calls == 1
    assert summed.repair_cost_usd == pytest.approx(0.0004)


async def test_a_share_is_paid_whenever_it_is_taken_and_by_the_run_that_asked() -> None:
    judge, shelf = Dear({"task": ANSWER}), Shelf()
    first = (await remembering(judge, shelf, payer=RUN).ask(shared(0))).usage
    # The judge of another worker or a later attempt, without the open call of this process.
    later = (await remembering(judge, shelf, payer=RUN).ask(shared(1))).usage
    other = (await remembering(judge, shelf, payer=ANOTHER_RUN).ask(shared(1))).usage
    assert (first.prompt_tokens, later.prompt_tokens) == (101, 100)
    assert other == Usage(cached_calls=1)
    assert len(judge.questions) == 1


async def test_an_unknown_price_stays_unknown_in_every_share() -> None:
    assert Usage(cost_usd=None).share(0, 3).cost_usd is None


async def test_an_attempt_pays_for_what_an_earlier_attempt_asked() -> None:
    judge, shelf = ScriptedJudge({"task": ANSWER}), Shelf()
    for _ in range(2):
        # An attempt may end before its score is written.
        usage = (await remembering(judge, shelf, payer=RUN).ask(question())).usage
        assert replace(usage, latency_ms=0) == replace(ONE_CALL, latency_ms=0)
    assert len(judge.questions) == 1


async def test_nobody_pays_for_an_answer_of_an_unknown_payer() -> None:
    judge, shelf = ScriptedJudge(), Shelf()
    memory = remembering(judge, shelf, payer=RUN)
    shelf.kept[memory.key(question())] = StoredJudgement(answer=ANSWER.model_dump())
    assert (await memory.ask(question())).usage == Usage(cached_calls=1)


class Pausing(ScriptedJudge):
    """The run's budget has no room for the repair of the first answer."""

    async def ask(self, question: Question[Any]) -> Judgement[Any]:
        judgement = await super().ask(question)
        if len(self.questions) == 1:
            error = BudgetReached("run 1")
            error.spent = ONE_CALL
            raise error
        return judgement


class Unlimited:
    def hold(self, *, prompt_bytes: int, answer_tokens: int) -> AbstractAsyncContextManager[Hold]:
        return UNLIMITED


async def test_the_calls_before_a_pause_are_paid_after_it() -> None:
    judge, shelf, usages = Pausing({"task": ANSWER}), Shelf(), []
    with pytest.raises(BudgetReached):
        await remembering(judge, shelf, payer=RUN, spending=Unlimited).ask(question())
    for _ in range(2):
        again = remembering(judge, shelf, payer=RUN, spending=Unlimited)
        usages.append((await again.ask(question())).usage)
    assert len(judge.questions) == 2
    assert [(usage.calls, usage.repair_calls) for usage in usages] == [(2, 1)] * 2
    assert usages[-1].cost_usd == pytest.approx(0.002)
    other = remembering(judge, shelf, payer=ANOTHER_RUN, spending=Unlimited)
    assert (await other.ask(question())).usage == Usage(cached_calls=1)
