"""Chat messages in the shapes that agent frameworks record them.

OpenAI (chat and responses), Anthropic, Gemini, LangChain and the OpenTelemetry
GenAI conventions all end as the same few values.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from pydantic import JsonValue

from evals.compact import compact, decoded


class Request(NamedTuple):
    """A tool call as the model asked for it."""

    name: str
    arguments: JsonValue
    id: str | None = None


class Message(NamedTuple):
    """`role` is system, user, assistant or tool. For a tool's answer `name` is the tool."""

    role: str
    text: str
    requests: tuple[Request, ...] = ()
    name: str | None = None
    id: str | None = None


_ROLES = {
    "human": "user",
    "ai": "assistant",
    "model": "assistant",
    "bot": "assistant",
    "agent": "assistant",
    "developer": "system",
    "function": "tool",
    "tool_result": "tool",
}
_KNOWN_ROLES = frozenset(("system", "user", "assistant", "tool"))
_INSTRUCTIONS = ("system", "instructions", "system_instruction")
# Where the shapes we know keep messages, or something that holds them.
_HOLDERS = (
    "contents", "input", "output", "history", "new_messages",
    "choices", "candidates", "generations", "message", "kwargs", "data",
)  # fmt: skip
_ITEMS = ("function_call", "function_call_output", "reasoning")
_TOOL_PARTS = ("tool_use", "tool_call", "tool_result", "tool_call_response")
_TOOL_KEYS = ("functionCall", "function_call", "functionResponse")
_MAX_DEPTH = 6


def messages_of(value: JsonValue, role: str) -> list[Message] | None:
    """The messages in an LLM span's input or output; None when it holds none.

    `role` is who speaks where the value does not say.
    """
    found: list[Message] = []
    _collect(decoded(value), role, found, 0)
    return found or None


def _collect(value: JsonValue, role: str, found: list[Message], depth: int) -> None:
    if depth > _MAX_DEPTH:
        return
    if isinstance(value, list):
        for item in value:
            if isinstance(item, dict | list):
                _collect(item, role, found, depth + 1)
    elif isinstance(value, dict):
        _collect_from_object(value, role, found, depth)


def _collect_from_object(
    value: dict[str, JsonValue], role: str, found: list[Message], depth: int
) -> None:
    if _is_message(value):
        found.extend(_read(value, role))
        return
    found += [Message("system", _text(value[key])) for key in _INSTRUCTIONS if value.get(key)]
    listed = value.get("messages")
    if isinstance(listed, list):
        _collect(listed, role, found, depth + 1)
        return
    for key in _HOLDERS:
        inner = value.get(key)
        if isinstance(inner, list | dict):
            _collect(inner, role, found, depth + 1)
    asked = value.get("input")
    if isinstance(asked, str) and asked.strip() and ("instructions" in value or "model" in value):
        found.append(Message("user", asked.strip()))


def _is_message(value: dict[str, JsonValue]) -> bool:
    if "role" in value and "content" in value and isinstance(value["role"], str):
        return True
    kind = value.get("type")
    if kind in _ITEMS:
        return True
    spoken = "content" in value or "parts" in value or "tool_calls" in value
    if isinstance(value.get("role"), str):
        return spoken or "function_call" in value
    if kind in ("human", "ai", "system", "tool", "message"):
        return spoken
    # A bare {"content": …, "tool_calls": …} is what many wrappers keep of an answer.
    return spoken and value.keys() <= {"content", "tool_calls", "parts", "id", "finish_reason"}


def _read(value: dict[str, JsonValue], default_role: str) -> list[Message]:
    role = _role(value, default_role)
    content = value.get("content") if "content" in value else value.get("parts")
    if len(value) == 2 and "role" in value and isinstance(content, str):
        # Nearly every message is just this.
        return [Message(role, compact(content) if role == "tool" else content.strip())]
    kind = value.get("type")
    if kind in _ITEMS:
        return _item(value, str(kind))
    answers, requests = _tool_parts(content)
    requests += _requests(value.get("tool_calls")) + _requests([value.get("function_call")])
    text = compact(content) if role == "tool" and isinstance(content, str) else _text(content)
    text = _with_thought(value.get("reasoning_content") or value.get("reasoning"), text)
    if answers and not text and not requests:
        return answers
    speaker = value.get("name")
    name = speaker if isinstance(speaker, str) else None
    return [*answers, Message(role, text, tuple(requests), name, _id(value))]


def _item(value: Mapping[str, JsonValue], kind: str) -> list[Message]:
    """The items of OpenAI's responses that are no messages."""
    if kind == "function_call":
        return [Message("assistant", "", tuple(_requests([dict(value)])))]
    if kind == "function_call_output":
        return [Message("tool", compact(value.get("output")), id=_id(value))]
    thought = _text(value.get("summary") or value.get("content"))
    return [Message("assistant", f"(thinking) {thought}")] if thought else []


def _with_thought(thought: JsonValue, text: str) -> str:
    if not isinstance(thought, str) or not thought.strip():
        return text
    return f"(thinking) {thought.strip()}\n{text}".rstrip()


def _role(value: Mapping[str, JsonValue], default: str) -> str:
    role = value.get("role") or value.get("type")
    if not isinstance(role, str):
        return default
    role = role.lower()
    role = _ROLES.get(role, role)
    return role if role in _KNOWN_ROLES else default


def _id(value: Mapping[str, JsonValue]) -> str | None:
    for key in ("tool_call_id", "call_id", "tool_use_id", "id"):
        if key in value:
            found = value[key]
            if isinstance(found, str) and found:
                return found
    return None


def _text(content: JsonValue) -> str:
    if isinstance(content, str):
        return content.strip()
    if content is None:
        return ""
    if isinstance(content, dict):
        inner = content.get("parts")
        return _text(inner) if isinstance(inner, list) else _part_text(content)
    if isinstance(content, list):
        return "\n".join(text for text in map(_part_text, content) if text)
    return compact(content)


def _part_text(part: JsonValue) -> str:
    if not isinstance(part, dict):
        return _text(part)
    if _is_tool_part(part):
        return ""
    for key in ("text", "content", "output_text"):
        inner = part.get(key)
        if isinstance(inner, str):
            return inner.strip()
    if isinstance(part.get("thinking"), str):
        return f"(thinking) {part['thinking']}"
    kind = part.get("type")
    if isinstance(kind, str) and any(word in kind for word in ("image", "audio", "file", "video")):
        return f"({kind})"
    return "(binary data)" if "inline_data" in part or "inlineData" in part else compact(part)


def _is_tool_part(part: Mapping[str, JsonValue]) -> bool:
    return part.get("type") in _TOOL_PARTS or any(key in part for key in _TOOL_KEYS)


def _tool_parts(content: JsonValue) -> tuple[list[Message], list[Request]]:
    answers: list[Message] = []
    requests: list[Request] = []
    for part in content if isinstance(content, list) else ():
        if not isinstance(part, dict) or not _is_tool_part(part):
            continue
        if part.get("type") in ("tool_result", "tool_call_response") or "functionResponse" in part:
            answers.append(_tool_answer(part))
        else:
            requests += _requests([part])
    return answers, requests


def _tool_answer(part: Mapping[str, JsonValue]) -> Message:
    inner = part.get("functionResponse")
    source = inner if isinstance(inner, dict) else part
    name = source.get("name")
    for key in ("content", "response", "result", "output"):
        if key in source:
            value = source[key]
            text = _text(value) if isinstance(value, list) else compact(value)
            return Message("tool", text, (), name if isinstance(name, str) else None, _id(part))
    return Message("tool", "", (), name if isinstance(name, str) else None, _id(part))


def _requests(calls: JsonValue | Sequence[JsonValue]) -> list[Request]:
    """Flat, OpenAI's nested `function`, Anthropic's `input` and Gemini's `args` alike."""
    found: list[Request] = []
    for call in calls if isinstance(calls, list) else ():
        if not isinstance(call, dict):
            continue
        body: Mapping[str, JsonValue] = call
        for key in ("function", "functionCall", "function_call"):
            inner = call.get(key)
            if isinstance(inner, dict):
                body = inner
        name = body.get("name")
        if not isinstance(name, str):
            continue
        arguments = next(
            (body[key] for key in ("arguments", "input", "args", "parameters") if key in body), None
        )
        found.append(Request(name, decoded(arguments), _id(call)))
    return found
