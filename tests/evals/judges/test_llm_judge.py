"""Structured answers, repairs and refusals, in every protocol."""

import asyncio
import threading
from dataclasses import replace
from typing import TypeVar

import pytest
from pydantic import BaseModel

from core.errors import JudgeBusy, JudgeFailed
from evals.judges import llm_judge
from evals.judges.answer_format import read
from tests.evals.judges.conftest import GOOD, QUESTION, JudgesAt
from tests.judge_server import JudgeServer, Request, Says, Sends, fails, hangs, resets, says

A = TypeVar("A", bound=BaseModel)

LLAMA_CPP_REFUSAL = (
    "[{'type': 'literal_error', 'loc': ('body', 'response_format', 'type'), "
    "'msg': \"Input should be 'text' or 'json_object'\"}]"
)


async def test_an_answer_in_the_schema_comes_back_with_what_it_cost(
    judges_at: JudgesAt, model: str
) -> None:
    async with JudgeServer([says(GOOD)]) as server:
        judgement = await judges_at(server, model).judge(model).ask(QUESTION)
    assert judgement.answer.score == 0.75
    usage = judgement.usage
    assert (usage.calls, usage.prompt_tokens, usage.completion_tokens) == (1, 100, 20)
    assert (usage.repair_calls, usage.repair_cost_usd) == (0, 0)
    assert usage.cost_usd is not None
    assert usage.cost_usd > 0
    [request] = server.requests
    assert request.mode == "schema"
    assert request.text.index(QUESTION.trace) < request.text.index(QUESTION.text)


async def test_a_long_answer_is_read_beside_the_event_loop(
    judges_at: JudgesAt, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_loop: list[bool] = []

    def watched(text: str, answer: type[A]) -> A:
        on_loop.append(threading.current_thread() is threading.main_thread())
        return read(text, answer)

    monkeypatch.setattr(llm_judge, "read", watched)
    long = {"reason": "r" * 10_000, "score": 0.5}
    async with JudgeServer([says(GOOD), says(long)]) as server:
        judge = judges_at(server, model).judge(model)
        for _ in range(2):
            await judge.ask(QUESTION)
    assert on_loop == [True, False]


async def test_temperature_is_zero(judges_at: JudgesAt, model: str) -> None:
    async with JudgeServer() as server:
        await judges_at(server, model).judge(model).ask(QUESTION)
    body = server.requests[0].body
    assert body.get("generationConfig", body)["temperature"] == 0


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        ({"reason": "r", "score": 7}, "`score`: Input should be less than or equal to 1"),
        ({"reason": "r", "score": -0.1}, "greater than or equal to 0"),
        ('{"reason": "r", "score": NaN}', "not finite"),
        ({"score": 0.5}, "`reason`: Field required"),
        ("I would say it went well.", "without a complete JSON object"),
    ],
)
async def test_an_invalid_answer_is_asked_again_with_what_is_wrong(
    judges_at: JudgesAt, model: str, answer: object, problem: str
) -> None:
    async with JudgeServer([says(answer), says(GOOD)]) as server:
        judgement = await judges_at(server, model).judge(model).ask(QUESTION)
    assert judgement.answer.score == 0.75
    usage = judgement.usage
    assert (usage.calls, usage.repair_calls) == (2, 1)
    # The server bills all calls alike.
    assert usage.cost_usd is not None
    assert usage.repair_cost_usd == pytest.approx(usage.cost_usd / 2)
    first, second = server.requests
    assert problem in second.text
    assert problem not in first.text
    assert second.text.startswith(first.text)


async def test_the_third_invalid_answer_is_the_last_and_the_reason_says_what_the_model_did(
    judges_at: JudgesAt, model: str
) -> None:
    async with JudgeServer([says({"reason": "r", "score": 7})] * 4) as server:
        with pytest.raises(JudgeFailed, match=r"3 tries: its JSON does not fit .* less than or"):
            await judges_at(server, model).judge(model).ask(QUESTION)
    assert len(server.requests) == 3


async def test_a_model_that_says_nothing_fails_by_name(judges_at: JudgesAt, model: str) -> None:
    async with JudgeServer([Says(silent=True)] * 3) as server:
        with pytest.raises(JudgeFailed, match=f"{model} gave no .*it answered nothing"):
            await judges_at(server, model).judge(model).ask(QUESTION)


async def test_an_answer_that_broke_off_with_an_error_is_on_the_bill(judges_at: JudgesAt) -> None:
    broken = Sends(
        body='{"id": "1", "object": "chat.completion", "usage": {"prompt_tokens": 9}, "choices": '
        '[{"finish_reason": "error", "message": {"role": "assistant", "content": "{"}}]}'
    )
    async with JudgeServer([broken]) as server:
        judge = judges_at(server, "openai/gpt-4o-mini").judge("openai/gpt-4o-mini")
        with pytest.raises(JudgeBusy, match="broke off with an error") as raised:
            await judge.ask(QUESTION)
    assert (raised.value.spent.calls, raised.value.spent.prompt_tokens) == (1, 9)


async def test_no_choices_at_all_count_as_no_answer(judges_at: JudgesAt) -> None:
    empty = Sends(body='{"id": "1", "object": "chat.completion", "choices": [], "usage": {}}')
    async with JudgeServer([empty, says(GOOD)]) as server:
        judge = judges_at(server, "openai/gpt-4o-mini").judge("openai/gpt-4o-mini")
        assert (await judge.ask(QUESTION)).usage.calls == 2


async def test_a_blocked_prompt_without_a_candidate_is_a_refusal(judges_at: JudgesAt) -> None:
    blocked = Sends(body='{"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {}}')
    model = "gemini/gemini-2.5-flash"
    async with JudgeServer([blocked]) as server:
        with pytest.raises(JudgeFailed, match=r"refused|content filter"):
            await judges_at(server, model).judge(model).ask(QUESTION)
    assert len(server.requests) == 1


async def test_an_answer_cut_off_is_asked_again_with_more_room_from_then_on(
    judges_at: JudgesAt, model: str
) -> None:
    async with JudgeServer([Says('{"reason": "It', finish="length")]) as server:
        judge = judges_at(server, model).judge(model)
        await judge.ask(QUESTION)
        await judge.ask(QUESTION)
    rooms = [_room(request) for request in server.requests]
    assert rooms[1] > rooms[0]
    assert rooms[2] == rooms[1]
    assert server.requests[1].text == server.requests[0].text


def _room(request: Request) -> int:
    body = request.body.get("generationConfig", request.body)
    names = ("max_tokens", "max_completion_tokens", "max_output_tokens")
    return next(int(body[name]) for name in names if name in body)


async def test_an_answer_that_never_ends_fails(judges_at: JudgesAt) -> None:
    async with JudgeServer(lambda _: Says('{"reason": "and', finish="length")) as server:
        with pytest.raises(JudgeFailed, match="still answering after 16384 tokens"):
            await judges_at(server, "gpt-4o-mini").judge("gpt-4o-mini").ask(QUESTION)
    assert len(server.requests) == 3


@pytest.mark.parametrize(
    "step", [Says(refusal="I cannot help."), Says(finish="content_filter", silent=True)]
)
async def test_a_refusal_is_final_and_not_asked_again(
    judges_at: JudgesAt, model: str, step: Says
) -> None:
    async with JudgeServer([step]) as server:
        with pytest.raises(JudgeFailed, match=r"refused to judge|content filter"):
            await judges_at(server, model).judge(model).ask(QUESTION)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "refusal",
    [
        fails(400, "Invalid parameter: 'response_format' of type 'json_schema' is not supported"),
        fails(500, LLAMA_CPP_REFUSAL, "internal_server_error"),
        fails(400, "Failed to parse grammar"),
    ],
    ids=["400", "llama.cpp", "grammar"],
)
async def test_a_refused_mode_gives_way_to_plainer_ones_and_is_remembered(
    judges_at: JudgesAt, refusal: Sends
) -> None:
    async with JudgeServer([refusal, fails(400, "'tools' is not supported")]) as server:
        judge = judges_at(server, "openai/small").judge("openai/small")
        await judge.ask(QUESTION)
        await judge.ask(QUESTION)
    assert [request.mode for request in server.requests] == ["schema", "tool", "plain", "plain"]
    assert '"score"' in server.requests[2].text


@pytest.mark.parametrize("modes", [["schema", "tool"], ["schema", "tool", "plain"]])
async def test_plainer_modes_are_read_in_every_protocol_and_kept_to(
    judges_at: JudgesAt, model: str, modes: list[str]
) -> None:
    refusals = [fails(400, f"{what} is not supported") for what in ("json_schema", "tool_choice")]
    async with JudgeServer([*refusals[: len(modes) - 1], says(GOOD)]) as server:
        judge = judges_at(server, model).judge(model)
        judgement = await judge.ask(QUESTION)
        await judge.ask(QUESTION)
    assert judgement.answer.score == 0.75
    assert [request.mode for request in server.requests] == [*modes, modes[-1]]
    assert ('"score"' in server.requests[-1].text) is (modes[-1] == "plain")


async def test_an_outage_that_mentions_tools_changes_no_habit(judges_at: JudgesAt) -> None:
    async with JudgeServer([fails(500, "The tool schema service is down")]) as server:
        judge = judges_at(server, "openai/small").judge("openai/small")
        with pytest.raises(JudgeBusy):
            await judge.ask(QUESTION)
        await judge.ask(QUESTION)
    assert [request.mode for request in server.requests] == ["schema", "schema"]


async def test_concurrent_questions_step_down_once_for_one_refusal(judges_at: JudgesAt) -> None:
    def script(request: Request) -> Sends | None:
        return fails(400, "no response_format here") if request.mode == "schema" else None

    async with JudgeServer(script, delay=0.05) as server:
        judge = judges_at(server, "openai/small").judge("openai/small")
        await asyncio.gather(*(judge.ask(QUESTION) for _ in range(5)))
    assert {request.mode for request in server.requests[5:]} == {"tool"}


async def test_a_refused_temperature_is_dropped_and_remembered(judges_at: JudgesAt) -> None:
    said = "Unsupported value: 'temperature' does not support 0 with this model."
    async with JudgeServer([fails(400, said, "unsupported_value")]) as server:
        judge = judges_at(server, "openai/small").judge("openai/small")
        await judge.ask(QUESTION)
        await judge.ask(QUESTION)
    assert ["temperature" in request.body for request in server.requests] == [True, False, False]


async def test_reasoning_models_get_max_completion_tokens_and_no_temperature(
    judges_at: JudgesAt,
) -> None:
    async with JudgeServer() as server:
        await judges_at(server, "openai/gpt-5-mini").judge("openai/gpt-5-mini").ask(QUESTION)
    [request] = server.requests
    assert "max_completion_tokens" in request.body
    assert not {"max_tokens", "temperature"} & request.body.keys()


async def test_an_unknown_model_that_wants_max_completion_tokens_gets_it(
    judges_at: JudgesAt,
) -> None:
    said = "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."
    async with JudgeServer([fails(400, said, "unsupported_parameter")]) as server:
        await judges_at(server, "openai/new").judge("openai/new").ask(QUESTION)
    assert "max_completion_tokens" in server.requests[1].body


async def test_silence_is_bounded_and_worth_asking_again(judges_at: JudgesAt, model: str) -> None:
    async with JudgeServer([hangs()]) as server:
        judge = judges_at(server, model, timeout_seconds=0.3).judge(model)
        with pytest.raises(JudgeBusy, match=r"no answer came within 0\.3 s"):
            await judge.ask(QUESTION)


@pytest.mark.slow
async def test_all_tries_together_end_within_twice_the_time_of_one(judges_at: JudgesAt) -> None:
    async with JudgeServer(lambda _: says("no"), delay=0.4) as server:
        judge = judges_at(server, "openai/slow", timeout_seconds=0.5).judge("openai/slow")
        loop = asyncio.get_running_loop()
        started = loop.time()
        with pytest.raises(JudgeBusy):
            await judge.ask(QUESTION)
        assert loop.time() - started < 1.3


async def test_a_reset_connection_is_worth_asking_again(judges_at: JudgesAt, model: str) -> None:
    async with JudgeServer([resets()]) as server:
        with pytest.raises(JudgeBusy, match="unreachable"):
            await judges_at(server, model).judge(model).ask(QUESTION)


async def test_garbage_instead_of_a_protocol_is_worth_asking_again(
    judges_at: JudgesAt, model: str
) -> None:
    async with JudgeServer([Sends(body="garbage of a proxy")]) as server:
        with pytest.raises(JudgeBusy, match="not an answer of its protocol"):
            await judges_at(server, model).judge(model).ask(QUESTION)


async def test_half_a_surrogate_pair_in_a_trace_does_no_harm(
    judges_at: JudgesAt, model: str
) -> None:
    async with JudgeServer() as server:
        broken = replace(QUESTION, trace="half \ud83d a smile")
        await judges_at(server, model).judge(model).ask(broken)
    assert "half ? a smile" in server.requests[0].text


async def test_nothing_is_repeated_behind_our_back(judges_at: JudgesAt, model: str) -> None:
    async with JudgeServer([fails(500, "The server had an error")] * 3) as server:
        with pytest.raises(JudgeBusy):
            await judges_at(server, model).judge(model).ask(QUESTION)
    assert len(server.requests) == 1


async def test_a_price_nobody_knows_is_unknown(judges_at: JudgesAt) -> None:
    async with JudgeServer() as server:
        judgement = await judges_at(server, "openai/own").judge("openai/own").ask(QUESTION)
    assert judgement.usage.cost_usd is None
    assert judgement.usage.prompt_tokens == 100
