"""Reads requests for tool calls and answers of tools, in the shapes of all providers."""

import ast
import json
import re
from collections.abc import Mapping
from typing import NamedTuple

from pydantic import JsonValue

from evals.transcript.compact_json import compact, decoded, decoded_arguments

Object = Mapping[str, JsonValue]


class ToolCallRequest(NamedTuple):
    """A tool call as the model requested it."""

    name: str
    arguments: JsonValue
    id: str | None = None


class ToolAnswer(NamedTuple):
    """The answer of a tool. `id` and `name` belong to the call, if recorded."""

    text: str
    name: str | None = None
    id: str | None = None
    failed: bool = False


_NAMES = ("name", "toolName", "tool_name", "recipient_name")
_IDS = ("tool_call_id", "toolCallId", "call_id", "callId", "tool_use_id", "toolUseId", "id")
_ARGUMENTS = ("arguments", "args", "input", "parameters", "tool_kwargs", "tool_input", "kwargs",
              "params", "argumentsJson")  # fmt: skip
_RESULTS = ("content", "response", "result", "output", "return_value", "outputs", "results",
            "errorText", "text")  # fmt: skip
_REQUEST_BODIES = ("function", "functionCall", "function_call", "toolUse", "tool_use",
                   "tool_call", "toolCall", "toolInvocation", "server_tool_call")  # fmt: skip
_ANSWER_BODIES = ("functionResponse", "function_response", "toolResult", "tool_result",
                  "tool_call_response", "toolInvocation")  # fmt: skip
_REQUEST_TYPES = frozenset((
    "tool_use", "tool_call", "function_call", "server_tool_use", "mcp_tool_use", "toolcall",
    "server_tool_call", "builtin_tool_call", "native_tool_call", "custom_tool_call",
    "tool_invocation", "dynamic_tool", "functioncall", "tooluse", "tool_call_chunk",
))  # fmt: skip
# Maximum length of a type's name. The pattern takes quadratic time in the length of the text.
_MAX_KIND = 100
_ANSWER_TYPE = re.compile(
    r"(?:.*_)?(?:tool|function|call)\w*_(?:result|response|return|output|error)|tool_?result"
    r"|toolresponse|retry_prompt|functionresponse|(?:.*_)?tool_return"
)
_FAILED_WORDS = frozenset(("error", "failed", "failure", "denied", "output-error", "rejected"))
# Vercel's typed outputs.
_TYPED_OUTPUT = frozenset(("type", "value", "reason"))
_SHOWN_AS_JSON = frozenset(("image", "audio", "resource", "document", "file", "blob", "media",
                            "image_url", "input_image"))  # fmt: skip
_MAX_WRITTEN = 200_000
_CALLING = re.compile(r"Calling tools?:\s*", re.IGNORECASE)
_OPEN_TAG, _CLOSE_TAG = "<tool_call>", "</tool_call>"


def is_request(part: Object) -> bool:
    """Whether a part of a message's content requests a tool call."""
    if any(isinstance(part.get(key), dict) for key in _REQUEST_BODIES[1:]):
        return True
    kind = type_of(part)
    return kind in _REQUEST_TYPES or _is_ui_tool(part)


def is_answer(part: Object) -> bool:
    """Whether a part of a message's content is a tool's answer."""
    if any(isinstance(part.get(key), dict) for key in _ANSWER_BODIES[:-1]):
        return True
    kind = type_of(part)
    if kind == "retry_prompt":
        return name_of(part) is not None
    if kind in ("tool_invocation", "dynamic_tool") or _is_ui_tool(part):
        return _has_outcome(_body(part, ("toolInvocation",)))
    return len(kind) <= _MAX_KIND and _ANSWER_TYPE.fullmatch(kind) is not None


def type_of(part: Object) -> str:
    """The part's type in lower case with underscores; empty without a type."""
    for key in ("type", "part_kind", "block_type"):
        kind = part.get(key)
        if isinstance(kind, str) and kind:
            return kind.lower().replace("-", "_")
    return ""


def requests_in(calls: JsonValue) -> list[ToolCallRequest]:
    """The requests in a list of calls; other entries are skipped."""
    listed = calls if isinstance(calls, list) else [calls] if isinstance(calls, dict) else []
    found = (request_of(inner) for call in listed if isinstance(inner := decoded(call), dict))
    return [request for request in found if request is not None]


def request_of(call: Object) -> ToolCallRequest | None:
    """Reads flat requests, OpenAI's nested `function`, Anthropic's `input`, Gemini's `args` and
    others.
    """
    wrapped = call.get("tool_call")
    if isinstance(wrapped, dict) and isinstance(wrapped.get("function"), dict):
        call = wrapped
    body = _body(call, _REQUEST_BODIES)
    name = name_of(body) or name_of(call) or _ui_name(call)
    if name is None:
        return None
    arguments = next(
        (value for key in _ARGUMENTS if (value := body.get(key)) is not None),
        next((value for key in _ARGUMENTS if (value := call.get(key)) is not None), None),
    )
    return ToolCallRequest(name, decoded_arguments(arguments), id_of(body) or id_of(call))


def answer_of(part: Object) -> ToolAnswer:
    """A tool's answer, as a part of a message or as a separate message."""
    body = _body(part, _ANSWER_BODIES)
    text, failed = _result(body)
    failed = failed or _says_failed(body) or _says_failed(part)
    failed = failed or type_of(part) in ("retry_prompt", "tool_error")
    name = name_of(body) or name_of(part) or _ui_name(part)
    return ToolAnswer(text, name, id_of(body) or id_of(part), failed)


def written_requests(text: str) -> list[ToolCallRequest]:
    """Tool calls that a framework wrote into a message's content as text."""
    if len(text) > _MAX_WRITTEN:
        return []
    if _CLOSE_TAG in text:
        tagged = (part.partition(_CLOSE_TAG)[0] for part in text.split(_OPEN_TAG)[1:])
        return [one for call in tagged for one in requests_in(_literal(call))]
    announced = _CALLING.match(text)
    body = text[announced.end() :] if announced else text
    if body[:1] not in ("[", "{"):
        return []
    value = _literal(body)
    calls: list[JsonValue] = value if isinstance(value, list) else [value]
    if not calls or not all(isinstance(call, dict) and _is_written_call(call) for call in calls):
        return []
    return requests_in(calls)


def name_of(value: Object) -> str | None:
    for key in _NAMES:
        name = value.get(key)
        if isinstance(name, str) and name.strip():
            return name.strip()
    return None


def id_of(value: Object) -> str | None:
    """The id that a call and its answer share, under any of the keys that providers use."""
    for key in _IDS:
        found = value.get(key)
        if isinstance(found, str) and found:
            return found
    return None


def _is_written_call(call: Object) -> bool:
    if isinstance(call.get("function"), dict):
        return request_of(call) is not None
    if any(isinstance(call.get(key), dict) for key in _REQUEST_BODIES[1:]):
        return request_of(call) is not None
    return name_of(call) is not None and any(key in call for key in _ARGUMENTS)


def _literal(text: str) -> JsonValue:
    """Reads JSON, or the `str()` form of Python values."""
    text = text.strip()
    try:
        value: JsonValue = json.loads(text, strict=False)
        return value
    except (ValueError, RecursionError):
        pass
    try:
        parsed: JsonValue = json.loads(json.dumps(ast.literal_eval(text)))
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None
    return parsed


def _body(part: Object, keys: tuple[str, ...]) -> Object:
    return next((inner for key in keys if isinstance(inner := part.get(key), dict)), part)


def _result(body: Object) -> tuple[str, bool]:
    for key in _RESULTS:
        value = body.get(key)
        if value is None:
            continue
        if (
            isinstance(value, dict)
            and set(value) <= {"type", "value", "reason"}
            and "type" in value
        ):
            # Vercel's typed outputs.
            kind = str(value["type"])
            inner = value.get("value", value.get("reason"))
            return _result_text(inner), kind.startswith("error") or kind == "execution-denied"
        if isinstance(value, dict) and set(value) == {"json"}:
            value = value["json"]
        failed = isinstance(value, dict) and "error_code" in value
        return _result_text(value), failed
    error = body.get("error")
    return (compact(error), True) if error else ("", False)


def _result_text(value: JsonValue) -> str:
    """Joins text parts; other values become JSON."""
    if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
        texts = [_part_text(item) for item in value if isinstance(item, dict)]
        if all(text is not None for text in texts):
            return "\n".join(text for text in texts if text)
    return compact(value)


def _part_text(part: Object) -> str | None:
    if part.get("type") in ("text", "output_text", "input_text") or part.keys() <= {"text"}:
        text = part.get("text", part.get("content"))
        return compact(text) if isinstance(text, str) else None
    if part.keys() == {"json"}:
        return compact(part["json"])
    if type_of(part) in _SHOWN_AS_JSON or part.keys() & {"image", "document"}:
        return compact(dict(part))
    return None


def _says_failed(value: Object) -> bool:
    if value.get("is_error") is True or value.get("isError") is True:
        return True
    if value.get("success") is False and "content" in value:
        return True
    return any(
        isinstance(word := value.get(key), str) and word.lower() in _FAILED_WORDS
        for key in ("status", "state", "outcome")
    )


def _is_ui_tool(part: Object) -> bool:
    kind = part.get("type")
    return isinstance(kind, str) and kind.startswith("tool-") and "state" in part


def _ui_name(part: Object) -> str | None:
    return str(part["type"])[5:] if _is_ui_tool(part) else None


def _has_outcome(body: Object) -> bool:
    return any(body.get(key) is not None for key in ("output", "result", "errorText"))
