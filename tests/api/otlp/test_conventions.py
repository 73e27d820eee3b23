"""How attributes and events of a span are read."""

import json
from typing import Any

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from tests.api.conftest import Service
from tests.api.otlp.otel import event, exported, read, span

ASKED = [{"role": "user", "parts": [{"type": "text", "content": "Where?"}]}]
SAID = [{"role": "assistant", "parts": [{"type": "text", "content": "Here."}]}]
RULES = [{"type": "text", "content": "Be brief."}]
FAILED = Status(code=Status.STATUS_CODE_ERROR)


@pytest.mark.parametrize("encode", [json.dumps, lambda value: value])
async def test_a_chat_in_its_current_form(sqlite_service: Service, encode: Any) -> None:
    attributes = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-x",
        "gen_ai.response.model": "gpt-x-2026",
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.max_tokens": 99,
        "gen_ai.usage.input_tokens": 7,
        "gen_ai.usage.output_tokens": 5,
        "gen_ai.usage.cache_read.input_tokens": 3,
        "gen_ai.response.time_to_first_chunk": 0.25,
        "gen_ai.conversation.id": "c-1",
        "user.id": "u-1",
        "gen_ai.system_instructions": encode(RULES),
        "gen_ai.input.messages": encode(ASKED),
        "gen_ai.output.messages": encode(SAID),
        "gen_ai.tool.definitions": encode([{"name": "find"}]),
        "mine": "kept",
    }
    found = await read(sqlite_service, attributes, name="chat gpt-x", kind=3)
    assert (found["name"], found["kind"], found["model"]) == ("chat gpt-x", "LLM", "gpt-x-2026")
    assert found["input"] == {"messages": [{"role": "system", "parts": RULES}, *ASKED]}
    assert found["output"] == {"messages": SAID}
    assert found["token_usage"] == {
        **{"prompt_tokens": 7, "completion_tokens": 5, "cache_read_input_tokens": 3}
    }
    assert found["model_parameters"] == {"temperature": 0.5, "max_tokens": 99, "model": "gpt-x"}
    assert found["time_to_first_token_ms"] == 250
    assert found["metadata"] == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.tool.definitions": [{"name": "find"}],
        "mine": "kept",
        "otel.kind": "CLIENT",
    }
    trace = found["trace"]
    assert (trace["session_id"], trace["user_id"], trace["total_tokens"]) == ("c-1", "u-1", 12)


MODEL = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m"}
CALL = {"id": "1", "type": "function", "function": {"name": "find", "arguments": "{}"}}
PREVIOUS: list[tuple[dict[str, Any], list[Span.Event], Any, Any]] = [
    (
        {},
        [
            event("gen_ai.system.message", content="Be brief."),
            event("gen_ai.user.message", content='{"a": 1}'),
            event("gen_ai.assistant.message", tool_calls=json.dumps([CALL])),
            event("gen_ai.tool.message", content="at home", id="1"),
            event("gen_ai.choice", index=0, finish_reason="stop", message={"content": "Here."}),
        ],
        [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": '{"a": 1}'},
            {"role": "assistant", "tool_calls": [CALL]},
            {"role": "tool", "content": "at home", "id": "1"},
        ],
        [{"role": "assistant", "content": "Here.", "finish_reason": "stop"}],
    ),
    (
        {},
        [
            event(
                "gen_ai.client.inference.operation.details",
                gen_ai__input__messages=json.dumps(ASKED),
                gen_ai__output__messages=json.dumps(SAID),
            )
        ],
        ASKED,
        SAID,
    ),
    (
        {},
        [
            event("gen_ai.content.prompt", gen_ai__prompt='[{"role": "user", "content": "Q"}]'),
            event("gen_ai.content.completion", gen_ai__completion="A"),
        ],
        [{"role": "user", "content": "Q"}],
        [{"role": "assistant", "content": "A"}],
    ),
    (
        {"gen_ai.prompt": "Q", "gen_ai.completion": "A"},
        [],
        [{"role": "user", "content": "Q"}],
        [{"role": "assistant", "content": "A"}],
    ),
    (
        {
            "gen_ai.prompt.0.role": "system",
            "gen_ai.prompt.0.content": "S",
            "gen_ai.prompt.10.content": "late",
            "gen_ai.prompt.2.role": "user",
            "gen_ai.prompt.2.content": "Q",
            "gen_ai.completion.0.role": "assistant",
            "gen_ai.completion.0.finish_reason": "tool_calls",
            "gen_ai.completion.0.tool_calls.0.id": "1",
            "gen_ai.completion.0.tool_calls.0.name": "find",
            "gen_ai.completion.0.tool_calls.0.arguments": '{"q": 1}',
        },
        [],
        [
            {"role": "system", "content": "S"},
            {"role": "user", "content": "Q"},
            {"role": "user", "content": "late"},
        ],
        [
            {
                "role": "assistant",
                "finish_reason": "tool_calls",
                "tool_calls": [{"id": "1", "name": "find", "arguments": {"q": 1}}],
            }
        ],
    ),
]


@pytest.mark.parametrize(("attributes", "events", "asked", "said"), PREVIOUS)
async def test_a_chat_in_its_previous_forms(
    sqlite_service: Service,
    attributes: dict[str, Any],
    events: list[Span.Event],
    asked: Any,
    said: Any,
) -> None:
    usage = {"gen_ai.usage.prompt_tokens": 7, "gen_ai.usage.completion_tokens": 5}
    found = await read(sqlite_service, MODEL | usage | attributes, events=events)
    assert found["input"] == {"messages": asked}
    assert found["output"] == {"messages": said}
    assert found["token_usage"] == {"prompt_tokens": 7, "completion_tokens": 5}
    assert found["metadata"] == {"gen_ai.operation.name": "chat"}


async def test_a_tool_is_named_and_given_what_it_was_called_with(sqlite_service: Service) -> None:
    attributes = {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "find_order",
        "gen_ai.tool.call.id": "call_1",
        "gen_ai.tool.call.arguments": '{"order": 4711}',
        "gen_ai.tool.call.result": {"state": "out"},
    }
    found = await read(sqlite_service, attributes, name="execute_tool find_order")
    assert (found["name"], found["kind"]) == ("find_order", "TOOL")
    assert (found["input"], found["output"]) == ({"order": 4711}, {"state": "out"})
    assert found["metadata"]["gen_ai.tool.call.id"] == "call_1"


@pytest.mark.parametrize(
    ("attributes", "kind"),
    [
        ({"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "a"}, "AGENT"),
        ({"gen_ai.operation.name": "create_agent"}, "AGENT"),
        ({"gen_ai.operation.name": "invoke_workflow"}, "CHAIN"),
        ({"gen_ai.operation.name": "embeddings", "gen_ai.request.model": "e"}, "EMBEDDING"),
        ({"gen_ai.operation.name": "retrieval"}, "RETRIEVER"),
        ({"gen_ai.operation.name": "text_completion"}, "LLM"),
        ({"gen_ai.operation.name": "generate_content"}, "LLM"),
        ({"gen_ai.operation.name": "of tomorrow", "gen_ai.request.model": "m"}, "LLM"),
        ({"gen_ai.tool.name": "t"}, "TOOL"),
        ({"openinference.span.kind": "CHAIN"}, "CHAIN"),
        ({"openinference.span.kind": "RERANKER"}, "RETRIEVER"),
        ({"openinference.span.kind": "GUARDRAIL"}, "OTHER"),
        ({"openinference.span.kind": ["LLM"]}, "OTHER"),
        ({"http.method": "GET"}, "OTHER"),
    ],
)
async def test_kinds(sqlite_service: Service, attributes: dict[str, Any], kind: str) -> None:
    assert (await read(sqlite_service, attributes))["kind"] == kind


@pytest.mark.parametrize(
    ("fields", "attributes", "status", "error"),
    [
        ({"status": Status(code=Status.STATUS_CODE_OK)}, {}, "OK", None),
        ({}, {}, "UNSET", None),
        (
            {"status": Status(code=Status.STATUS_CODE_ERROR, message="It broke.")},
            {},
            "ERROR",
            "It broke.",
        ),
        (
            {
                "status": FAILED,
                "events": [event("exception", exception__type="E", exception__message="m")],
            },
            {},
            "ERROR",
            "E: m",
        ),
        ({"status": FAILED}, {"error.type": "timeout"}, "ERROR", "timeout"),
        ({}, {"error.type": "timeout"}, "ERROR", "timeout"),
        ({"status": FAILED}, {}, "ERROR", None),
    ],
)
async def test_errors(
    sqlite_service: Service,
    fields: dict[str, Any],
    attributes: dict[str, Any],
    status: str,
    error: str | None,
) -> None:
    found = await read(sqlite_service, attributes, **fields)
    assert (found["status"], found["error"]) == (status, error)
    assert found["trace"]["status"] == ("ERROR" if status == "ERROR" else "COMPLETED")


async def test_what_has_no_field_stays_in_the_metadata(sqlite_service: Service) -> None:
    link = Span.Link(trace_id=bytes(range(16)), span_id=bytes(range(8)))
    found = await read(
        sqlite_service,
        {"http.route": "/chat", "user.id": "u" * 256, "empty": ""},
        kind=2,
        trace_state="a=b",
        links=[link],
        events=[event("retry", at=0.5, attempt=2)],
    )
    assert found["metadata"] == {
        "http.route": "/chat",
        "user.id": "u" * 256,
        "empty": "",
        "otel.kind": "SERVER",
        "otel.trace_state": "a=b",
        "otel.events": [
            {
                "name": "retry",
                "time": "2026-09-01T09:00:00.500000+00:00",
                "attributes": {"attempt": 2},
            }
        ],
        "otel.links": [
            {
                "trace_id": bytes(range(16)).hex(),
                "span_id": bytes(range(8)).hex(),
                "attributes": {},
            }
        ],
    }
    assert found["trace"]["user_id"] is None


async def test_the_resource_names_environment_and_release(sqlite_service: Service) -> None:
    resource = {"deployment.environment.name": "prod", "service.version": "1.2", "host.name": "h"}
    held = await exported(sqlite_service, span(), resource=resource)
    assert (held["environment"], held["release"]) == ("prod", "1.2")
    assert held["metadata"] == resource


@pytest.mark.parametrize(
    "attributes",
    [
        {"gen_ai.input.messages": "[" * 5000, "gen_ai.request.model": "m"},
        {"gen_ai.input.messages": "[" * 300 + "]" * 300, "gen_ai.request.model": "m"},
        {"gen_ai.input.messages": "9" * 5000, "gen_ai.request.model": "m"},
        {"gen_ai.usage.input_tokens": "many", "gen_ai.request.model": ["m"]},
        {"gen_ai.usage.input_tokens": -(2**63), "gen_ai.usage.cost": "free"},
        {"gen_ai.prompt.99999999999999999999.role": "x", "gen_ai.prompt.²": "x"},
        {"llm.input_messages.999999999.message.role": "x", "llm.input_messages": "x"},
        {"llm.token_count.": 5, "llm.tools.0": "x", "llm.tools.0.x": "y"},
        {"openinference.span.kind": "TOOL", "tool.name": {"a": 1}},
        {"session.id": "a\0b", "user.id": 7, "tag.tags": [1, None, {}, ""]},
        {"gen_ai.response.time_to_first_chunk": float("inf")},
        {"gen_ai.response.time_to_first_chunk": float("nan")},
        {"a\0b": "c\0d", "": float("nan"), "metadata": "[]"},
    ],
)
async def test_odd_attributes_harm_nothing(
    sqlite_service: Service, attributes: dict[str, Any]
) -> None:
    assert (await read(sqlite_service, attributes, name="x\0" * 900))["name"].startswith("x\ufffd")
