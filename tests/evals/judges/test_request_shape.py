"""The first request shape of a judge, and what it learns, without network."""

import asyncio
from collections.abc import Callable, Mapping

import pytest
from pydantic import BaseModel

from core.errors import JudgeBusy, JudgeFailed
from evals.judges.answer_format import Mode
from evals.judges.completion import Message, Reply
from evals.judges.fault_meaning import RequestSent
from evals.judges.fault_parsing import Fault, fault_of
from evals.judges.llm_judge import Patience, ProviderJudge
from evals.judges.provider_table import Provider, find_model, status_of
from evals.judges.rate_control import Ceiling, Throttle
from evals.judges.request_shape import ModelFacts, RequestShape, first_request_shape
from tests.evals.judges.conftest import QUESTION

Say = Callable[[Mapping[str, object]], Reply]


def judge(say: Say, facts: ModelFacts | None = None, ask_seconds: float = 5.0) -> ProviderJudge:
    async def complete(
        _messages: list[Message], shape: RequestShape, answer: type[BaseModel]
    ) -> Reply:
        await asyncio.sleep(0)
        return say(shape.options(answer))

    asked = RequestSent("openai", "OpenAI", "openai/own")
    return ProviderJudge(
        asked, facts or ModelFacts(), complete, Throttle(Ceiling(100)), Patience(1.0, ask_seconds)
    )


@pytest.mark.parametrize(
    ("facts", "mode"),
    [
        (ModelFacts(known=True, schema=True, tools=True), Mode.SCHEMA),
        (ModelFacts(known=True, tools=True), Mode.TOOL),
        (ModelFacts(known=True), Mode.PLAIN),
        (ModelFacts(), Mode.SCHEMA),
    ],
)
def test_a_model_starts_in_the_most_binding_mode_it_is_known_for(
    facts: ModelFacts, mode: Mode
) -> None:
    assert first_request_shape(facts).mode is mode


def test_room_for_the_answer_stays_within_what_the_model_can_write() -> None:
    assert first_request_shape(ModelFacts(known=True, answer_tokens=500)).max_tokens == 500


def test_a_small_context_leaves_most_of_it_to_the_trace() -> None:
    small = judge(lambda _: Reply(), ModelFacts(known=True, context_tokens=4096))
    assert small.input_tokens == (4096 - 1024 - 1500) * 95 // 100
    assert small.parameters == "temperature=0"


async def test_concurrent_answers_cut_off_get_the_same_larger_room() -> None:
    rooms: list[object] = []

    def say(options: Mapping[str, object]) -> Reply:
        rooms.append(options["max_tokens"])
        if options["max_tokens"] == 2048:
            return Reply('{"reason": "It', finish="length")
        return Reply('{"reason": "It did.", "score": 1}')

    asked = judge(say)
    await asyncio.gather(*(asked.ask(QUESTION) for _ in range(3)))
    assert rooms == [2048] * 3 + [8192] * 3


async def test_a_question_out_of_time_is_worth_asking_again() -> None:
    with pytest.raises(JudgeBusy, match="took longer than 0 s over one question"):
        await judge(lambda _: Reply(), ask_seconds=0.0).ask(QUESTION)


async def test_endless_refusals_of_options_end() -> None:
    flip = iter(["max_tokens", "max_completion_tokens"] * 10)

    def say(_: Mapping[str, object]) -> Reply:
        raise Fault(f"Unsupported parameter: '{next(flip)}'", status=400)

    with pytest.raises(JudgeFailed, match="no usable answer in 10 calls"):
        await judge(say).ask(QUESTION)


def test_a_time_out_of_any_library_is_silence() -> None:
    fault = fault_of(TimeoutError())
    assert fault.status is None
    assert "no answer" in fault.said


def test_a_chain_of_causes_is_followed_only_so_far() -> None:
    error: Exception = ConnectionError("the first of many")
    for _ in range(20):
        deeper = RuntimeError("wrapped")
        deeper.__cause__ = error
        error = deeper
    assert fault_of(error).said == "wrapped"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ('{"detail": [{"loc": ["body"], "msg": "field required"}]}', "field required"),
        ('[{"error": {"message": "a list"}}]', "a list"),
        ('{"error": "plain"}', "plain"),
        ("{'not': 'JSON'}", "{'not': 'JSON'}"),
        ('{"unknown": 1}', '{"unknown": 1}'),
        ("<!DOCTYPE html><p>no title", "an HTML page"),
    ],
)
def test_the_providers_own_sentence_is_found(body: str, said: str) -> None:
    class Refused(Exception):
        status_code = 400
        message = body

    assert fault_of(Refused()).said == said


def test_a_missing_package_is_named() -> None:
    provider = Provider("x", "X", "", (("X_KEY",),), package="no_such_package.part")
    status = status_of(provider, {"X_KEY": "k"}, None)
    assert not status.available
    assert "no_such_package.part" in status.message


def test_a_local_server_may_have_a_key() -> None:
    provider = find_model("hosted_vllm/own").provider
    assert provider.api_key({"HOSTED_VLLM_API_KEY": "k"}) == "k"
    assert find_model("azure/deployment").provider.api_key({"AZURE_API_KEY": "k"}) == "k"
