"""Input budgets: from LiteLLM's data, from the settings, and learned from a refusal."""

from dataclasses import replace

import pytest

from core.errors import JudgeBusy, JudgeFailed
from evals.judges.llm_judge import DEFAULT_CONTEXT_TOKENS
from tests.evals.judges.conftest import QUESTION, JudgesAt
from tests.judge_server import JudgeServer, fails

TOO_LONG = (
    "This model's maximum context length is 8192 tokens. However, you requested 30123 tokens."
)


async def test_a_known_model_leaves_room_for_the_question_and_the_answer(
    judges_at: JudgesAt,
) -> None:
    async with JudgeServer() as server:
        tokens = judges_at(server, "gpt-4o-mini").judge("gpt-4o-mini").input_tokens
    assert 110_000 < tokens < 128_000 - 2_048


async def test_an_unknown_model_has_the_documented_default(judges_at: JudgesAt) -> None:
    async with JudgeServer() as server:
        tokens = judges_at(server, "openai/own").judge("openai/own").input_tokens
    assert DEFAULT_CONTEXT_TOKENS * 0.8 < tokens < DEFAULT_CONTEXT_TOKENS


async def test_the_setting_wins(judges_at: JudgesAt) -> None:
    async with JudgeServer() as server:
        judges = judges_at(server, "gpt-4o-mini", input_tokens=5_000)
        assert judges.judge("gpt-4o-mini").input_tokens == 5_000


async def test_a_prompt_found_too_long_makes_the_next_one_shorter(judges_at: JudgesAt) -> None:
    long = replace(QUESTION, trace="word " * 20_000)
    async with JudgeServer([fails(400, TOO_LONG, "context_length_exceeded")]) as server:
        judge = judges_at(server, "openai/own").judge("openai/own")
        with pytest.raises(JudgeBusy, match="cut to 5529 tokens") as caught:
            await judge.ask(long)
        assert caught.value.retry_after == 1.0
        assert judge.input_tokens == 5529


async def test_old_renderings_found_too_long_do_not_shrink_the_budget_further(
    judges_at: JudgesAt,
) -> None:
    long = replace(QUESTION, trace="word " * 20_000)
    async with JudgeServer([fails(400, TOO_LONG, "context_length_exceeded")] * 2) as server:
        judge = judges_at(server, "openai/own").judge("openai/own")
        for _ in range(2):
            with pytest.raises(JudgeBusy):
                await judge.ask(long)
        assert judge.input_tokens == 5529


async def test_a_prompt_that_cannot_get_shorter_fails_for_good(judges_at: JudgesAt) -> None:
    async with JudgeServer([fails(400, "The prompt is too long.")]) as server:
        with pytest.raises(JudgeFailed, match="too long"):
            await judges_at(server, "openai/own").judge("openai/own").ask(QUESTION)
