"""Reads chat messages in the shapes of providers and agent frameworks.

OpenAI (chat and Responses), Anthropic, Gemini, Bedrock, Vercel, LangChain, LlamaIndex, AutoGen,
pydantic-ai, Koog and the OpenTelemetry GenAI conventions are converted to the same few values.
`message` reads one message, `message_parts` its parts.
"""

from collections.abc import Iterable, Iterator, Mapping

from pydantic import JsonValue

from evals.transcript.compact_json import decoded
from evals.transcript.message import (
    ROLES,
    Message,
    is_message,
    plain_message,
    read_message,
    tool_message,
)
from evals.transcript.message_parts import text_of
from evals.transcript.provider_items import is_item, read_item
from evals.transcript.streamed import assemble
from evals.transcript.tool_shapes import ToolCallRequest, requests_in

__all__ = ["Message", "ToolCallRequest", "messages_of"]

_INSTRUCTIONS = ("system", "instructions", "system_instruction", "systemInstruction",
                 "system_prompt", "preamble")  # fmt: skip
# Keys under which the known shapes keep messages, or containers of messages.
_HOLDERS = (
    "contents", "input", "output", "history", "chat_history", "new_messages", "config",
    "choices", "candidates", "generations", "message", "kwargs", "data", "content", "response",
    "responseMessages", "chat_message", "inner_messages", "request", "llm_request", "llm_response",
)  # fmt: skip
_TEXT_LISTS = frozenset(("input", "output", "contents", "choices", "candidates"))
_COMPLETION_KEYS = frozenset((
    "finish_reason", "generation_info", "logprobs", "finishReason", "stop_reason", "toolCalls",
    "tool_calls",
))  # fmt: skip
_CALL_TYPES = ("function", "tool_call", "tool-call", "tool_use")
_MAX_DEPTH = 9


def messages_of(value: JsonValue, role: str) -> list[Message] | None:
    """The messages in the input or output of a model call; None without messages.

    `role` is the role of a message that states none.
    """
    found = list(_messages_in(decoded(value), role, 0))
    return found or None


def _messages_in(value: JsonValue, role: str, depth: int) -> Iterator[Message]:
    if depth > _MAX_DEPTH:
        return
    if isinstance(value, list):
        for item in assemble(value) or value:
            inner = decoded(item)
            if isinstance(inner, dict | list):
                yield from _messages_in(inner, role, depth + 1)
    elif isinstance(value, dict):
        plain = plain_message(value)
        yield from _messages_of_object(value, role, depth) if plain is None else (plain,)


def _messages_of_object(value: dict[str, JsonValue], role: str, depth: int) -> Iterable[Message]:
    value = _unwrapped(value)
    if is_item(value):
        return _messages_of_item(value)
    if is_message(value):
        return read_message(value, role)
    if _is_lone_request(value):
        return [Message("assistant", "", tuple(requests_in([value])))]
    return _messages_held(value, role, depth)


def _messages_held(value: Mapping[str, JsonValue], role: str, depth: int) -> Iterator[Message]:
    """The messages in a container: a request, a response, a wrapper."""
    for key in _INSTRUCTIONS:
        text = _instructions(value[key]) if value.get(key) else ""
        if text:
            yield Message("system", text)
    listed = decoded(value.get("messages"))
    if isinstance(listed, list):
        yield from _messages_in(listed, role, depth + 1)
        return
    messages: list[Message] = []
    for key in _HOLDERS:
        inner = decoded(value.get(key))
        if isinstance(inner, list | dict):
            held = list(_messages_in(inner, role, depth + 1))
            messages += held or (_plain_strings(inner, role) if key in _TEXT_LISTS else [])
    yield from messages
    yield from _prompts(value)
    if role == "assistant" and not any(one.text or one.requests for one in messages):
        yield from _completion(value, role)


def _prompts(value: Mapping[str, JsonValue]) -> Iterator[Message]:
    """Plain-text prompts."""
    texts: list[JsonValue] = [value.get("contents")]
    if "instructions" in value or "model" in value:
        texts.append(value.get("input"))
    for key in ("prompt", "prompts"):
        prompts = value.get(key)
        texts += prompts if isinstance(prompts, list) else [prompts]
    for text in texts:
        if isinstance(text, str) and text.strip():
            yield Message("user", text.strip())


def _completion(value: Mapping[str, JsonValue], role: str) -> Iterator[Message]:
    """Plain-text completions, such as `{"choices": [{"text": …}]}`."""
    if not value.keys() & _COMPLETION_KEYS:
        return
    requests = requests_in(decoded(value.get("toolCalls") or value.get("tool_calls")))
    text = value.get("text")
    said = text.strip() if isinstance(text, str) else ""
    if said or requests:
        yield Message(role, said, tuple(requests))


def _plain_strings(value: JsonValue, role: str) -> list[Message]:
    strings = value if isinstance(value, list) else []
    return [
        Message(role, item.strip())
        for item in strings
        if isinstance(item, str) and item.strip() and decoded(item) is item
    ]


def _messages_of_item(value: Mapping[str, JsonValue]) -> Iterator[Message]:
    item = read_item(value)
    if item.thought:
        yield Message("assistant", "", thought=item.thought)
    if item.request is not None:
        yield Message("assistant", "", (item.request,))
    if item.answer is not None:
        yield tool_message(item.answer)


def _unwrapped(value: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """Unwraps LangChain's serialized objects."""
    kwargs, path = value.get("kwargs"), value.get("id")
    if value.get("lc") is not None and isinstance(kwargs, dict):
        kind = path[-1] if isinstance(path, list) and path else None
        if isinstance(kind, str) and kind.lower() in ROLES:
            return {**kwargs, "type": kind}
    data = value.get("data")
    if isinstance(data, dict) and "content" in data and isinstance(value.get("type"), str):
        return {**data, "type": value["type"]}
    return value


def _is_lone_request(value: Mapping[str, JsonValue]) -> bool:
    """Whether a tool call takes the place of a message, as in a list of calls."""
    if value.get("type") in _CALL_TYPES:
        return bool(requests_in([dict(value)]))
    named = "toolName" in value or "tool_name" in value
    return named and any(key in value for key in ("args", "input", "arguments", "toolCallId"))


def _instructions(value: JsonValue) -> str:
    inner = decoded(value)
    if isinstance(inner, dict) and "parts" in inner:
        inner = inner["parts"]
    return text_of(inner)
