import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel, Field

from core.errors import JudgeBusy, JudgeError, JudgeFailed
from core.judgement import StoredJudgement
from evals.judges import cache
from evals.judges.cache import Questions, RememberingJudge
from evals.judges.offline import OFFLINE_MODEL, RulesJudge
from evals.judges.protocol import Judge, Judgement, Question, Usage
from evals.judges.spending import Spending
from tests.fakes import ONE_CALL, ScriptedJudge, Shelf


class Task(BaseModel):
    reasoning: str
    task: str


RUN, ANOTHER_RUN = "run 1:trace", "run 2:trace"
ANSWER = Task(reasoning="because", task="Book room 12.")


class Other(BaseModel):
    reasoning: str = Field(description="another schema")
    task: str


def question(**changes: Any) -> Question[Any]:
    values: dict[str, Any] = {"stage": "task", "trace": "a trace", "text": "a text", "answer": Task}
    return Question(**(values | changes))


def remembering(
    judge: Judge,
    shelf: Shelf | None = None,
    flights: Questions | None = None,
    payer: str = "",
    scope: str = "",
    spending: Callable[[], Spending | None] = lambda: None,
) -> RememberingJudge:
    return RememberingJudge(judge, shelf or Shelf(), flights or Questions(), payer, scope, spending)


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_question_is_asked_once_and_then_known() -> None:
    judge, shelf = ScriptedJudge({"task": ANSWER}), Shelf()
    first = await remembering(judge, shelf, payer=RUN).ask(question())
    again = await remembering(judge, shelf, payer=ANOTHER_RUN).ask(question())
    assert len(judge.questions) == 1
    assert first == Judgement(ANSWER, ONE_CALL)
    assert again == Judgement(ANSWER, Usage(cached_calls=1))


async def test_what_a_stored_judgement_cost_is_kept_with_it() -> None:
    shelf = Shelf()
    await remembering(ScriptedJudge({"task": ANSWER}), shelf).ask(question())
    (stored,) = shelf.kept.values()
    assert stored == StoredJudgement(
        answer=ANSWER.model_dump(),
        model="test/scripted",
        prompt_tokens=100,
        completion_tokens=20,
        cost_usd=0.001,
        paid_by="",
    )


@pytest.mark.parametrize("changes", [{"trace": "another"}, {"text": "another"}, {"answer": Other}])
async def test_whatever_is_asked_differently_is_asked_anew(changes: dict[str, Any]) -> None:
    judge, shelf = ScriptedJudge({"task": ANSWER}), Shelf()
    memory = remembering(judge, shelf)
    await memory.ask(question())
    await memory.ask(question(**changes))
    assert len(judge.questions) == 2


@pytest.mark.parametrize("judge", [
    ScriptedJudge({"task": ANSWER}, model="test/other"),
    ScriptedJudge({"task": ANSWER}, parameters="temperature 1"),
])  # fmt: skip
async def test_another_model_or_other_parameters_are_asked_anew(judge: ScriptedJudge) -> None:
    shelf = Shelf()
    await remembering(ScriptedJudge({"task": ANSWER}), shelf).ask(question())
    await remembering(judge, shelf).ask(question())
    assert len(judge.questions) == 1


async def test_the_end_of_one_part_cannot_pass_for_the_next_ones_start() -> None:
    memory = remembering(ScriptedJudge())
    one = memory.key(question(trace="ab", text="c"))
    assert one != memory.key(question(trace="a", text="bc"))


async def test_the_stage_and_the_rule_are_not_part_of_what_is_asked() -> None:
    memory = remembering(ScriptedJudge())
    assert memory.key(question()) == memory.key(question(stage="other", rule=lambda: ANSWER))


async def test_a_fresh_run_asks_again_and_shares_with_itself() -> None:
    judge, shelf = ScriptedJudge({"task": ANSWER}), Shelf()
    await remembering(judge, shelf).ask(question())
    for _ in range(2):
        await remembering(judge, shelf, scope="run 2").ask(question())
    assert len(judge.questions) == 2


async def test_an_answer_that_no_longer_validates_is_asked_again() -> None:
    judge, shelf = ScriptedJudge({"task": ANSWER}), Shelf()
    memory = remembering(judge, shelf)
    shelf.kept[memory.key(question())] = StoredJudgement(answer={"task": 3})
    assert (await memory.ask(question())).answer == ANSWER
    assert shelf.kept[memory.key(question())].answer == ANSWER.model_dump()


async def test_those_who_ask_at_once_share_one_call_and_one_pays() -> None:
    judge, shelf, flights = ScriptedJudge({"task": ANSWER}), Shelf(), Questions()
    judge.gate.clear()
    asked = [
        asyncio.create_task(remembering(judge, shelf, flights, f"run {n}:trace").ask(question()))
        for n in range(5)
    ]
    await settled()
    judge.gate.set()
    usages = [(await one).usage for one in asked]
    assert len(judge.questions) == 1
    assert usages == [ONE_CALL] + [Usage(cached_calls=1)] * 4


async def test_those_who_wait_outlive_the_one_who_came_first() -> None:
    """The leader's score is never written, so the waiter pays."""
    judge, flights = ScriptedJudge({"task": ANSWER}), Questions()
    judge.gate.clear()
    leader = asyncio.create_task(remembering(judge, flights=flights, payer=RUN).ask(question()))
    await settled()
    another = remembering(judge, flights=flights, payer=ANOTHER_RUN)
    waiter = asyncio.create_task(another.ask(question()))
    await settled()
    leader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leader
    judge.gate.set()
    async with asyncio.timeout(1):
        judgement = await waiter
    assert judgement == Judgement(ANSWER, ONE_CALL)
    assert len(judge.questions) == 1


async def test_a_call_nobody_waits_for_any_more_is_given_up_and_can_be_asked_again() -> None:
    judge, flights = ScriptedJudge({"task": ANSWER}), Questions()
    judge.gate.clear()
    memory = remembering(judge, flights=flights)
    alone = asyncio.create_task(memory.ask(question()))
    await settled()
    alone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await alone
    judge.gate.set()
    async with asyncio.timeout(1):
        assert (await memory.ask(question())).answer == ANSWER
    assert len(judge.questions) == 2


@pytest.mark.parametrize(
    "error",
    [JudgeBusy("later", provider="test", retry_after=3), JudgeFailed("never", provider="test")],
)
async def test_a_failure_reaches_all_who_wait_and_is_not_remembered(error: JudgeError) -> None:
    error = error.having_spent(Usage(calls=2))
    judge, shelf, flights = ScriptedJudge({"task": error}), Shelf(), Questions()
    judge.gate.clear()
    memory = remembering(judge, shelf, flights)
    asked = [asyncio.create_task(memory.ask(question())) for _ in range(3)]
    await settled()
    judge.gate.set()
    async with asyncio.timeout(1):
        found = await asyncio.gather(*asked, return_exceptions=True)
    told = [one for one in found if isinstance(one, type(error))]
    assert [str(one) for one in told] == [str(error)] * 3
    assert [one.provider for one in told] == ["test"] * 3
    assert sorted(one.spent.calls for one in told) == [0, 0, 2]
    assert not shelf.kept
    with pytest.raises(type(error)):
        await memory.ask(question())
    assert len(judge.questions) == 2


async def test_rules_are_applied_anew_each_time() -> None:
    shelf = Shelf()
    memory = remembering(RulesJudge(), shelf)
    assert memory.model == OFFLINE_MODEL
    assert memory.input_tokens == RulesJudge.input_tokens
    await memory.ask(question(rule=lambda: ANSWER))
    assert not shelf.kept


def shared(place: int) -> Question[Any]:
    return question(shared_by=3, place=place)


class Claimed(Shelf):
    """Another worker holds the claim until `answered`; then its answer can be found."""

    def __init__(self) -> None:
        super().__init__()
        self.refused = asyncio.Event()
        self.answered = asyncio.Event()
        self.released: list[str] = []

    async def claim(self, _: str) -> bool:
        self.refused.set()
        return self.answered.is_set()

    async def release(self, key: str) -> None:
        self.released.append(key)


async def test_what_another_worker_is_asking_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "_LOOK_SECONDS", 0.01)
    judge, shelf = ScriptedJudge({"task": ANSWER}), Claimed()
    memory = remembering(judge, shelf, payer=RUN)
    asking = asyncio.create_task(memory.ask(shared(1)))
    await shelf.refused.wait()
    assert not judge.questions
    await shelf.put(memory.key(shared(1)), StoredJudgement(answer=ANSWER.model_dump(), paid_by=RUN))
    shelf.answered.set()
    async with asyncio.timeout(1):
        assert (await asking).answer == ANSWER
    assert not judge.questions


async def test_a_claim_ends_with_the_answer_and_with_a_failure() -> None:
    for answer in (ANSWER, JudgeFailed("never", provider="test")):
        judge, shelf = ScriptedJudge({"task": answer}), Claimed()
        shelf.answered.set()
        memory = remembering(judge, shelf, payer=RUN)
        with contextlib.suppress(JudgeFailed):
            await memory.ask(shared(0))
        assert shelf.released == [memory.key(shared(0))]


async def test_a_question_of_one_metric_takes_no_claim() -> None:
    judge, shelf = ScriptedJudge({"task": ANSWER}), Claimed()
    await remembering(judge, shelf, payer=RUN).ask(question())
    assert not shelf.refused.is_set()
