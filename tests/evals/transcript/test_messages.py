from typing import Any

import pytest

from evals.transcript.messages import Message, messages_of
from evals.transcript.tool_shapes import ToolCallRequest

BOOK = ToolCallRequest("book", {"room": 12})

SHAPES: dict[str, tuple[Any, list[Message]]] = {
    "OpenAI chat": (
        {"messages": [{"role": "developer", "content": "Be brief."},
                      {"role": "user", "content": [{"type": "text", "text": "Hi"},
                                                   {"type": "image_url", "image_url": {}}]}]},
        [Message("system", "Be brief."), Message("user", "Hi\n(image_url)")],
    ),
    "OpenAI completion": (
        {"choices": [{"finish_reason": "tool_calls", "message": {
            "role": "assistant", "content": None,
            "tool_calls": [{"id": "c1", "type": "function",
                            "function": {"name": "book", "arguments": '{"room": 12}'}}]}}]},
        [Message("assistant", "", (ToolCallRequest("book", {"room": 12}, "c1"),))],
    ),
    "OpenAI legacy function": (
        {"role": "assistant", "content": "",
         "function_call": {"name": "book", "arguments": '{"room": 12}'}},
        [Message("assistant", "", (BOOK,))],
    ),
    "OpenAI responses": (
        {"output": [{"type": "reasoning", "summary": [{"text": "Room first."}]},
                    {"type": "function_call", "call_id": "c1", "name": "book",
                     "arguments": '{"room": 12}'},
                    {"type": "function_call_output", "call_id": "c1", "output": "ok"},
                    {"type": "message", "role": "assistant",
                     "content": [{"type": "output_text", "text": "Booked."}]}]},
        [Message("assistant", "", thought="Room first."),
         Message("assistant", "", (ToolCallRequest("book", {"room": 12}, "c1"),)),
         Message("tool", "ok", id="c1"), Message("assistant", "Booked.")],
    ),
    "OpenAI responses input": (
        {"model": "m", "instructions": "Be brief.", "input": "Hi"},
        [Message("system", "Be brief."), Message("user", "Hi")],
    ),
    "Anthropic": (
        {"system": "Be brief.", "messages": [
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "Room first."},
                {"type": "text", "text": "One moment."},
                {"type": "tool_use", "id": "t1", "name": "book", "input": {"room": 12}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1",
                                          "content": [{"type": "text", "text": "ok"}]}]}]},
        [Message("system", "Be brief."), Message("user", "Hi"),
         Message("assistant", "One moment.", (ToolCallRequest("book", {"room": 12}, "t1"),),
                 thought="Room first."),
         Message("tool", "ok", id="t1")],
    ),
    "Gemini": (
        {"system_instruction": {"parts": [{"text": "Be brief."}]}, "contents": [
            {"role": "user", "parts": [{"text": "Hi"}]},
            {"role": "model", "parts": [{"functionCall": {"name": "book", "args": {"room": 12}}}]},
            {"role": "user", "parts": [{"functionResponse": {
                "name": "book", "response": {"ok": True}}}]}]},
        [Message("system", "Be brief."), Message("user", "Hi"), Message("assistant", "", (BOOK,)),
         Message("tool", '{"ok":true}', name="book")],
    ),
    "LangChain": (
        {"messages": [[{"type": "human", "data": {"content": "Hi", "type": "human"}},
                       {"type": "ai", "content": "Hello"}]]},
        [Message("user", "Hi"), Message("assistant", "Hello")],
    ),
    "OpenTelemetry GenAI": (
        [{"role": "user", "parts": [{"type": "text", "content": "Hi"}]},
         {"role": "assistant", "parts": [{"type": "tool_call", "id": "c1", "name": "book",
                                          "arguments": {"room": 12}}]},
         {"role": "tool", "parts": [{"type": "tool_call_response", "id": "c1", "result": "ok"}]}],
        [Message("user", "Hi"),
         Message("assistant", "", (ToolCallRequest("book", {"room": 12}, "c1"),)),
         Message("tool", "ok", id="c1")],
    ),
    "a string of JSON": (
        '{"role": "assistant", "content": "Hi", "reasoning_content": "Greet."}',
        [Message("assistant", "Hi", thought="Greet.")],
    ),
    "parts of other kinds": (
        {"role": "user", "content": ["Hi", {"inline_data": "…"}, {"odd": 1}, 3, None]},
        [Message("user", 'Hi\n(inline_data)\n{"odd":1}\n3')],
    ),
    "requests that are none": (
        {"role": "assistant", "content": "Hi", "tool_calls": [None, {"name": None}, {"id": 3}]},
        [Message("assistant", "Hi")],
    ),
    "an empty tool result": (
        [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": ""}]}, "stray"],
        [Message("tool", "")],
    ),
    "a bare answer": ({"content": "Hi"}, [Message("assistant", "Hi")]),
    "a tool's answer": (
        {"role": "tool", "name": "book", "content": '{ "ok": true }'},
        [Message("tool", '{"ok":true}', name="book")],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("value", "expected"), SHAPES.values(), ids=SHAPES.keys())
def test_reads_the_shape(value: Any, expected: list[Message]) -> None:
    assert messages_of(value, "assistant") == expected


@pytest.mark.parametrize(
    "value", ["plain words", None, 3, {}, [], {"temperature": 0}, {"messages": "none"}, "{broken"]
)
def test_a_value_without_messages_has_none(value: Any) -> None:
    assert messages_of(value, "user") is None


def test_nesting_ends_somewhere() -> None:
    value: Any = {"content": "deep"}
    for _ in range(500):
        value = {"messages": [value]}
    assert messages_of(value, "user") is None
