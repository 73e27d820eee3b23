"""Properties of the mock judge that the benchmarks rely on."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from pydantic import BaseModel, Field

from bench.mock_answers import answer_for
from core.errors import JudgeBusy, JudgeFailed, JudgeUnusable
from evals.judges.protocol import Question
from evals.judges.registry import JudgeConfig, configured_judges

ROOT = Path(__file__).parents[2]


class Item(BaseModel):
    tool: str
    right: bool


class Answer(BaseModel):
    reason: str
    score: float = Field(ge=0, le=1)
    items: list[Item] = Field(min_length=2, max_length=2)
    plan: str | None


@pytest.fixture
async def address() -> AsyncIterator[str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.mock_judge", "--latency", "0", cwd=ROOT, stdout=-1
    )
    assert process.stdout is not None
    port = int(await process.stdout.readline())
    yield f"http://127.0.0.1:{port}"
    process.terminate()
    assert await process.wait() == 0


def question(text: str) -> Question[Answer]:
    return Question("stage", "trace", text, Answer)


async def test_answers_fit_repeat_themselves_and_are_counted(address: str) -> None:
    config = JudgeConfig(model="openai/mock", api_base=f"{address}/v1", environment={})
    judges = configured_judges(config)
    judge = judges.judge("openai/mock")
    first, again, other = [(await judge.ask(question(q))).answer for q in ("a", "a", "b")]
    assert first == again
    assert first != other
    assert len(first.items) == 2
    async with httpx.AsyncClient() as client:
        stats = (await client.get(f"{address}/stats")).json()
        assert (stats["calls"], stats["repeats"], stats["statuses"]) == (3, 1, {"200": 3})
        control = {"outage": True, "reset": True}
        assert (await client.post(f"{address}/control", json=control)).json()["outage"]
        with pytest.raises(JudgeBusy):
            await judge.ask(question("a"))
        limits = {"outage": False, "rate_429": 1, "retry_after": 3}
        await client.post(f"{address}/control", json=limits)
        with pytest.raises(JudgeBusy) as caught:
            await judge.ask(question("a"))
        assert caught.value.retry_after == 3
        stats = (await client.get(f"{address}/stats")).json()
    assert stats["statuses"] == {"429": 1, "503": 1}
    await judges.close()


async def test_each_trouble_is_what_a_client_takes_it_for(address: str) -> None:
    environment = {"OPENAI_API_KEY": "mock"}
    config = JudgeConfig(
        model="openai/mock",
        api_base=f"{address}/v1",
        timeout_seconds=0.5,
        environment=environment,
    )
    judges = configured_judges(config)
    judge = judges.judge("openai/mock")
    async with httpx.AsyncClient(base_url=address) as client:
        for trouble, error in (
            ({"rate_hang": 1}, JudgeBusy),
            ({"rate_hang": 0, "rate_reset": 1}, JudgeBusy),
            ({"rate_reset": 0, "refusal": "key"}, JudgeUnusable),
            ({"refusal": "quota"}, JudgeUnusable),
            ({"refusal": "model"}, JudgeUnusable),
            ({"refusal": "", "malformed": 1}, JudgeFailed),
        ):
            await client.post("/control", json=trouble)
            with pytest.raises(error):
                await judge.ask(question("a"))
        await client.post("/control", json={"malformed": 0})
        for _ in range(2):
            await judge.ask(question("a"))
        stats = (await client.get("/stats")).json()
    # The malformed answer was repaired twice.
    assert stats["statuses"] == {"200": 5, "401": 1, "404": 1, "429": 1, "HANG": 1, "RESET": 1}
    assert (stats["answered"], stats["answered_again"], stats["in_flight"]) == (1, 1, 0)
    await judges.close()


def test_every_number_asked_about_gets_its_item() -> None:
    schema = {
        "type": "object",
        "properties": {
            "calls": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {"call": {"type": "integer"}, "right": {"type": "boolean"}},
                },
            }
        },
    }
    form = {"type": "json_schema", "json_schema": {"schema": schema}}
    text = "Judge these calls.\n3. [7] find_order\n4. [9] cancel_order"
    asked = {"messages": [{"role": "user", "content": text}], "response_format": form}
    verdicts = json.loads(answer_for(asked))["calls"]
    assert [verdict["call"] for verdict in verdicts] == [3, 4]


async def test_faults_may_be_for_one_model_alone(address: str) -> None:
    async with httpx.AsyncClient(base_url=address) as client:
        await client.post("/control", json={"rate_500": 1.0, "only_model": "sick"})
        for model, status in (("sick", 500), ("well", 200)):
            body = {"model": model, "messages": [{"role": "user", "content": "a"}]}
            answer = await client.post("/v1/chat/completions", json=body)
            assert answer.status_code == status


def test_every_call_that_a_prompt_lists_is_answered() -> None:
    listed = "| 1. [2] find_order\n| 2. [4] change_address"
    item = {"type": "object", "properties": {"call": {"type": "integer"}}}
    schema = {"type": "object", "properties": {"calls": {"type": "array", "items": item}}}
    form = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}
    asked = {"messages": [{"role": "user", "content": listed}], "response_format": form}
    assert json.loads(answer_for(asked)) == {"calls": [{"call": 1}, {"call": 2}]}
