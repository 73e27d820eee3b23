"""OpenAI's protocol without a client library: the same bytes, prices and errors as LiteLLM's."""

import asyncio
import resource
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import orjson
import pytest

from core.errors import JudgeBusy, JudgeFailed, JudgeUnusable
from evals.judges.protocol import Usage
from evals.judges.registry import JudgeConfig, configured_judges
from tests.evals.judges.conftest import GOOD, KEYS, QUESTION, JudgesAt
from tests.judge_server import JudgeServer, Request, Sends, fails, says

SERVED = (
    "openai/gpt-4o-mini",
    "openai/gpt-5-mini",
    "openai/own",
    "mistral/mistral-small-latest",
    "deepseek/deepseek-chat",
    "xai/grok-4.3",
    "cerebras/gpt-oss-120b",
    "together_ai/openai/gpt-oss-120b",
    "fireworks_ai/accounts/fireworks/models/gpt-oss-120b",
    "moonshot/kimi-k2.6",
    "openrouter/openai/gpt-5-mini",
    "ollama/qwen3:4b",
    "hosted_vllm/own",
    "lm_studio/own",
)
AZURE = {
    "AZURE_API_KEY": "azure-key-0123456789",
    "AZURE_API_VERSION": "2024-10-21",
}


async def sent(model: str, client: str, *steps: Sends) -> list[Request]:
    """The requests that the server gets, in every mode if `steps` refuse the first ones."""
    async with JudgeServer([*steps, says(GOOD)]) as server:
        environment = AZURE | {"AZURE_API_BASE": server.address}
        base = None if model.startswith("azure/") else server.openai
        judges = configured_judges(
            JudgeConfig(model=model, api_base=base, client=client, environment=environment)  # type: ignore[arg-type]  # each test names a known client
        )
        await judges.judge(model).ask(QUESTION)
        await judges.close()
    return server.requests


def compared(request: Request) -> tuple[str, dict[str, Any], str | None]:
    key = request.headers.get("authorization") or request.headers.get("api-key")
    return request.path, request.body, key


@pytest.mark.parametrize("model", [*SERVED, "azure/gpt-4o"])
async def test_every_provider_is_asked_in_the_same_words_by_both_clients(model: str) -> None:
    refusals = [fails(400, f"{what} is not supported") for what in ("json_schema", "tool_choice")]
    ours = await sent(model, "auto", *refusals)
    theirs = await sent(model, "litellm", *refusals)
    assert [compared(request) for request in ours] == [compared(request) for request in theirs]
    assert ours[0].headers["user-agent"] == "assay"


async def test_groq_is_asked_in_its_own_dialect() -> None:
    [request] = await sent("groq/llama-3.1-8b-instant", "auto")
    assert request.mode == "tool"
    assert request.path == "/v1/chat/completions"


async def usage(model: str, client: str, answer: dict[str, Any]) -> Usage:
    message = {"role": "assistant", "content": orjson.dumps(GOOD).decode()}
    said = {"index": 0, "message": message, "finish_reason": "stop"}
    body = {"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": [said]}
    async with JudgeServer([Sends(body=orjson.dumps(body | answer).decode())]) as server:
        judges = configured_judges(
            JudgeConfig(model=model, api_base=server.openai, client=client, environment=KEYS)  # type: ignore[arg-type]  # each test names a known client
        )
        found = (await judges.judge(model).ask(QUESTION)).usage
        await judges.close()
    return replace(found, latency_ms=0)


@pytest.mark.parametrize(
    "told",
    [
        {"prompt_tokens": 1_000, "completion_tokens": 200},
        {
            "prompt_tokens": 9_000,
            "completion_tokens": 300,
            "prompt_tokens_details": {"cached_tokens": 8_192},
            "completion_tokens_details": {"reasoning_tokens": 250},
        },
        {"prompt_tokens": 300_000, "completion_tokens": 300},
    ],
    ids=["plain", "cached", "beyond the first tier"],
)
@pytest.mark.parametrize(
    "model",
    ["openai/gpt-4o-mini", "openai/gpt-5.4", "xai/grok-4.3", "deepseek/deepseek-chat"],
)
async def test_a_call_costs_what_litellm_says(model: str, told: dict[str, Any]) -> None:
    answer = {"usage": told | {"total_tokens": told["prompt_tokens"] + told["completion_tokens"]}}
    ours, theirs = await usage(model, "auto", answer), await usage(model, "litellm", answer)
    assert theirs.cost_usd is not None
    assert ours.cost_usd == pytest.approx(theirs.cost_usd)
    assert replace(ours, cost_usd=None) == replace(theirs, cost_usd=None)


async def test_openrouter_says_itself_what_it_has_charged() -> None:
    answer = {"usage": {"prompt_tokens": 10, "completion_tokens": 5, "cost": 0.0123}}
    assert (await usage("openrouter/someone/model", "auto", answer)).cost_usd == 0.0123


async def test_a_server_of_ones_own_has_no_price_whatever_it_claims() -> None:
    answer = {"usage": {"prompt_tokens": 10, "completion_tokens": 5, "cost": 0.0123}}
    assert (await usage("openai/own", "auto", answer)).cost_usd is None


async def test_thoughts_beside_an_answer_are_left_out(judges_at: JudgesAt) -> None:
    parts = [
        {"type": "thinking", "thinking": [{"type": "text", "text": "Let me see {"}]},
        {"type": "text", "text": orjson.dumps(GOOD).decode()},
    ]
    body = orjson.dumps({"choices": [{"message": {"content": parts}}], "usage": None}).decode()
    async with JudgeServer([Sends(body=body)]) as server:
        judge = judges_at(server, "mistral/magistral").judge("mistral/magistral")
        assert (await judge.ask(QUESTION)).answer.score == 0.75


@pytest.mark.parametrize(
    "body",
    [
        {"error": {"code": 429, "message": "Rate limit exceeded: free tier"}},
        {"choices": [{"error": {"code": 429, "message": "Rate limit exceeded upstream"}}]},
    ],
)
async def test_an_error_inside_a_successful_response_is_an_error(
    judges_at: JudgesAt, body: dict[str, Any]
) -> None:
    async with JudgeServer([Sends(body=orjson.dumps(body).decode())]) as server:
        with pytest.raises(JudgeBusy) as caught:
            await judges_at(server, "openai/own").judge("openai/own").ask(QUESTION)
    assert caught.value.rate_limited


@pytest.mark.parametrize("body", ["[]", "{}", '{"choices": {}}', '"text"', '{"choices": '])
async def test_json_that_is_no_completion_is_worth_asking_again(
    judges_at: JudgesAt, body: str
) -> None:
    async with JudgeServer([Sends(body=body)]) as server:
        with pytest.raises(JudgeBusy, match="not an answer of its protocol"):
            await judges_at(server, "openai/own").judge("openai/own").ask(QUESTION)


@pytest.mark.parametrize(
    "choices", [[None], [{}], [{"message": None}], [{"message": {"tool_calls": [None]}}]]
)
async def test_a_choice_without_a_message_is_no_answer(
    judges_at: JudgesAt, choices: list[Any]
) -> None:
    empty = Sends(body=orjson.dumps({"choices": choices}).decode())
    async with JudgeServer([empty, says(GOOD)]) as server:
        judge = judges_at(server, "openai/own").judge("openai/own")
        assert (await judge.ask(QUESTION)).usage.calls == 2


async def test_a_redirect_is_not_followed(judges_at: JudgesAt) -> None:
    async with JudgeServer() as elsewhere:
        away = Sends(307, "", {"location": f"{elsewhere.openai}/chat/completions"})
        async with JudgeServer([away]) as server:
            with pytest.raises(JudgeUnusable, match="does not answer as an API"):
                await judges_at(server, "openai/own").judge("openai/own").ask(QUESTION)
    assert elsewhere.requests == []


@asynccontextmanager
async def endless_answers(*, declared: bool) -> AsyncIterator[JudgeServer]:
    """A server that streams 20 MB answers."""
    server = JudgeServer()
    part = 64 * 1024 * b"x"
    length = b"content-length: 20971520\r\n" if declared else b""
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n" + length + b"\r\n"

    async def respond(_request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(head + b'{"choices": "')
        for _ in range(320):
            writer.write(part)
            await writer.drain()
        writer.write_eof()

    server._respond = respond  # type: ignore[method-assign,assignment]  # it sends more than a step allows
    async with server:
        yield server


@pytest.mark.parametrize("declared", [True, False], ids=["with its length", "without"])
async def test_a_huge_answer_is_given_up_at_once_and_not_asked_for_again(
    judges_at: JudgesAt, model: str, declared: bool
) -> None:
    async with endless_answers(declared=declared) as server:
        judge = judges_at(server, model).judge(model)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        questions = [replace(QUESTION, text=f"Question {number}?") for number in range(20)]
        ended = await asyncio.gather(*(judge.ask(q) for q in questions), return_exceptions=True)
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert [type(end) for end in ended] == [JudgeFailed] * 20
    assert "answered with more than 4 MB" in str(ended[0])
    assert len(server.requests) == 20
    assert grown < 120_000  # KB; 20 answers of 20 MB are 400,000
