"""One chat message, independent of the provider or framework that recorded it."""

from collections.abc import Mapping
from typing import NamedTuple

from pydantic import JsonValue

from evals.transcript.binary import MIN_BINARY_CHARACTERS
from evals.transcript.compact_json import decoded
from evals.transcript.message_parts import Parts, read_parts, text_of
from evals.transcript.tool_shapes import (
    ToolAnswer,
    ToolCallRequest,
    answer_of,
    id_of,
    name_of,
    requests_in,
    written_requests,
)


class Message(NamedTuple):
    """`role` is system, user, assistant or tool.

    `name` is the speaker, or the tool of a tool's answer. `failed`: the answer reports that the
    call failed. `thought` is the model's reasoning, if the provider reveals it.
    """

    role: str
    text: str
    requests: tuple[ToolCallRequest, ...] = ()
    name: str | None = None
    id: str | None = None
    failed: bool = False
    thought: str = ""


ROLES = {
    "human": "user",
    "ai": "assistant",
    "model": "assistant",
    "bot": "assistant",
    "chatbot": "assistant",
    "agent": "assistant",
    "developer": "system",
    "function": "tool",
    "tool_result": "tool",
    "tool-response": "tool",
    "tool_response": "tool",
    "tool-call": "assistant",
    "tool_call": "assistant",
    "humanmessage": "user",
    "humanmessagechunk": "user",
    "usermessage": "user",
    "aimessage": "assistant",
    "aimessagechunk": "assistant",
    "assistantmessage": "assistant",
    "systemmessage": "system",
    "toolmessage": "tool",
    "functionmessage": "tool",
    "functionexecutionresultmessage": "tool",
    "toolcallrequestevent": "assistant",
    "toolcallexecutionevent": "tool",
    "toolcallsummarymessage": "assistant",
    "response": "assistant",
    "request": "user",
}
_KNOWN_ROLES = frozenset(("system", "user", "assistant", "tool"))
# Values of `type` that state the role of a message without `role`.
_MESSAGE_TYPES = frozenset((*ROLES, "system", "tool", "message", "textmessage")) - {
    "agent", "bot", "model", "function", "response", "request", "tool_call", "tool-call",
    "tool_result", "tool_response", "tool-response",
}  # fmt: skip
_SPEECH = ("content", "parts", "blocks", "tool_calls", "toolCalls", "function_call",
           "contents", "additional_kwargs", "refusal", "audio")  # fmt: skip
_BARE_ANSWER = frozenset((
    "content", "tool_calls", "parts", "id", "finish_reason", "refusal", "audio", "annotations",
    "reasoning_content", "function_call",
))  # fmt: skip
_LISTED_CALLS = ("tool_calls", "toolCalls", "invalid_tool_calls", "toolInvocations")
_THOUGHTS = ("reasoning_content", "reasoning", "thinking", "reasoning_details",
             "tool_plan")  # fmt: skip
_HUMANS = frozenset(("user", "human"))


def plain_message(value: Mapping[str, JsonValue]) -> Message | None:
    """A fast path for most messages, which have only a role and a text."""
    content, role = value.get("content"), value.get("role")
    if len(value) != 2 or not isinstance(content, str) or role not in _KNOWN_ROLES:
        return None
    text = content.strip()
    if len(text) >= MIN_BINARY_CHARACTERS and ";base64," in text:
        return None
    if role == "tool" or text[:1] in ("[", "{", "<") or text.startswith("Calling tool"):
        return None
    return Message(str(role), text)


def is_message(value: Mapping[str, JsonValue]) -> bool:
    """Whether an object is a message, not a container of messages."""
    role, kind = value.get("role"), value.get("type")
    spoken = any(key in value for key in _SPEECH)
    if isinstance(role, str):
        return spoken or isinstance(value.get("text"), str) or isinstance(value.get("message"), str)
    if isinstance(kind, str) and kind.lower() in _MESSAGE_TYPES:
        return spoken
    if isinstance(value.get("parts"), list):
        return True
    # Many wrappers keep only {"content": …, "tool_calls": …} of an answer.
    return spoken and value.keys() <= _BARE_ANSWER and not isinstance(value.get("content"), dict)


def read_message(value: Mapping[str, JsonValue], default_role: str) -> list[Message]:
    """The message, after the tool answers that it carries, and before the answers to its own
    calls.

    `default_role` is the role of a message that states none.
    """
    role = _role(value, default_role)
    content = _content(value)
    parts = read_parts(content, role)
    if role == "tool":
        return list(map(tool_message, parts.answers or [_whole_answer(value, parts.text)]))
    requests = [*parts.requests, *_listed_requests(value)]
    text = parts.text
    if role == "assistant" and not requests and isinstance(content, str):
        requests = written_requests(text)
        text = "" if requests else text
    text = text or _spoken_otherwise(value)
    thought = _thought(value) or parts.thought
    system = [Message("system", parts.system)] if parts.system else []
    before, after = _answers(parts)
    if not (text or requests or thought) and (before or after or system):
        return [*system, *before, *after]
    speaker = name_of(value) or value.get("source")
    message = Message(
        role,
        text,
        tuple(_unique(requests)),
        speaker if isinstance(speaker, str) else None,
        id_of(value),
        thought=thought,
    )
    return [*system, *before, message, *after]


def _whole_answer(value: Mapping[str, JsonValue], text: str) -> ToolAnswer:
    """A message that is a tool's answer.

    LlamaIndex keeps the id of the call outside of the message.
    """
    answer = answer_of(value)
    more = value.get("additional_kwargs")
    beside: Mapping[str, JsonValue] = more if isinstance(more, dict) else {}
    return answer._replace(
        text=answer.text or text,
        name=answer.name or name_of(beside),
        id=answer.id or id_of(beside),
    )


def tool_message(answer: ToolAnswer) -> Message:
    return Message("tool", answer.text, (), answer.name, answer.id, answer.failed)


def _answers(parts: Parts) -> tuple[list[Message], list[Message]]:
    """Answers to earlier calls, and answers to calls of the same message."""
    asked = {request.id for request in parts.requests}
    answers = list(map(tool_message, parts.answers))
    after = [one for one in answers if one.id in asked]
    return [one for one in answers if one.id not in asked], after


def _content(value: Mapping[str, JsonValue]) -> JsonValue:
    for key in ("content", "parts", "blocks", "contents"):
        if value.get(key) not in (None, "", []):
            return value[key]
    for key in ("text", "message"):
        if isinstance(value.get(key), str):
            return value[key]
    return value.get("content")


def _listed_requests(value: Mapping[str, JsonValue]) -> list[ToolCallRequest]:
    """Requests outside of the content. LangChain repeats them in `additional_kwargs`."""
    more = value.get("additional_kwargs")
    for source in (value, more if isinstance(more, dict) else {}):
        found = [one for key in _LISTED_CALLS for one in requests_in(decoded(source.get(key)))]
        found = found or requests_in([source.get("function_call")])
        if found:
            return found
    return []


def _unique(requests: list[ToolCallRequest]) -> list[ToolCallRequest]:
    """Removes duplicates:

    LangChain lists a call of Anthropic as a part and in `tool_calls`, and only one of the two is
    complete.
    """
    kept: list[ToolCallRequest] = []
    places: dict[tuple[str, str], int] = {}
    listed_twice = len({one.id for one in requests}) < len(requests)
    for request in requests:
        key = (request.name, request.id or "")
        at = places.get(key) if listed_twice and request.id else None
        if at is None or not _repeats(kept[at], request):
            places[key] = len(kept)
            kept.append(request)
        elif not kept[at].arguments:
            kept[at] = request
    return kept


def _repeats(request: ToolCallRequest, other: ToolCallRequest) -> bool:
    return not request.arguments or not other.arguments or request.arguments == other.arguments


def _spoken_otherwise(value: Mapping[str, JsonValue]) -> str:
    """A refusal, or the transcript of a spoken answer."""
    refusal, audio = value.get("refusal"), value.get("audio")
    if isinstance(refusal, str) and refusal.strip():
        return refusal.strip()
    if isinstance(audio, dict) and isinstance(audio.get("transcript"), str):
        return str(audio["transcript"]).strip()
    return ""


def _thought(value: Mapping[str, JsonValue]) -> str:
    more = value.get("additional_kwargs")
    for source in (value, more if isinstance(more, dict) else {}):
        for key in _THOUGHTS:
            if source.get(key) and (text := text_of(source[key])):
                return text
    return ""


def _role(value: Mapping[str, JsonValue], default: str) -> str:
    for key in ("role", "type", "kind"):
        role = value.get(key)
        if not isinstance(role, str):
            continue
        role = role.lower()
        if role == "textmessage":
            return "user" if str(value.get("source")).lower() in _HUMANS else "assistant"
        known = ROLES.get(role, role)
        if known in _KNOWN_ROLES:
            return known
    return default
