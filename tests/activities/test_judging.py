"""A question that waits for its turn is given up when its run is closed."""

import asyncio

import pytest
from pydantic import BaseModel

from activities.gate import RunClosed
from activities.judging import GatedJudge
from evals.judge import A, Judgement, Question


class Answer(BaseModel):
    reason: str


class NeverItsTurn:
    model = "waiting/model"
    input_tokens = 1000
    parameters = ""

    def __init__(self) -> None:
        self.left = False

    async def ask(self, question: Question[A]) -> Judgement[A]:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            self.left = True
        raise AssertionError


async def test_a_waiting_question_leaves_when_its_run_is_closed() -> None:
    looks = 0

    async def gate() -> None:
        nonlocal looks
        looks += 1
        if looks == 3:
            raise RunClosed

    judge = NeverItsTurn()
    with pytest.raises(RunClosed):
        await GatedJudge(judge, gate).ask(Question("s", "t", "?", Answer))
    await asyncio.sleep(0)
    assert judge.left
