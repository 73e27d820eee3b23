"""A budget that ends a question between two of its calls."""

from contextlib import AbstractAsyncContextManager
from dataclasses import replace

import pytest

from core.errors import BudgetReached
from evals.judges.spending import UNLIMITED, Hold
from tests.evals.judges.conftest import QUESTION, JudgesAt
from tests.judge_server import JudgeServer, says


class OneCall:
    """A budget with room for one call."""

    def __init__(self) -> None:
        self.calls = 0

    def hold(self, *, prompt_bytes: int, answer_tokens: int) -> AbstractAsyncContextManager[Hold]:
        self.calls += 1
        if self.calls > 1:
            raise BudgetReached("a run")
        return UNLIMITED


async def test_a_budget_without_room_for_a_repair_reports_the_first_call(
    judges_at: JudgesAt, model: str
) -> None:
    async with JudgeServer([says({"score": 7})]) as server:
        with pytest.raises(BudgetReached) as raised:
            await judges_at(server, model).judge(model).ask(replace(QUESTION, spending=OneCall()))
    assert (raised.value.spent.calls, raised.value.spent.prompt_tokens) == (1, 100)
