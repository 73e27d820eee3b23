"""The parts of one message: text, reasoning, requests for tool calls, answers, attachments."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import JsonValue

from evals.transcript.binary import without_binary
from evals.transcript.compact_json import compact, decoded
from evals.transcript.tool_shapes import (
    ToolAnswer,
    ToolCallRequest,
    answer_of,
    is_answer,
    is_request,
    request_of,
    type_of,
)

_TEXTS = ("text", "content", "output_text", "input_text", "refusal", "transcript", "value")
_THOUGHTS = ("thinking", "reasoning", "text", "content", "summary", "reasoningText")
_ATTACHMENTS = ("image", "audio", "video", "document", "file", "blob", "media", "uri", "pdf")
_ATTACHMENT_KEYS = ("inline_data", "inlineData", "file_data", "fileData", "image", "document",
                    "video", "audio", "image_url", "file")  # fmt: skip
_IGNORED = frozenset(("step_start", "redacted_thinking", "cachepoint", "cache_point"))
_PART_KEYS = ("text", "toolUse", "toolResult", "functionCall", "functionResponse", "function_call",
              "function_response", "tool_use", "tool_result", "reasoningContent", "type",
              "part_kind", "block_type")  # fmt: skip
_MAX_DEPTH = 6


@dataclass(slots=True)
class Parts:
    """`system`: instructions that a framework keeps in a request's parts."""

    texts: list[str] = field(default_factory=list)
    thoughts: list[str] = field(default_factory=list)
    requests: list[ToolCallRequest] = field(default_factory=list)
    answers: list[ToolAnswer] = field(default_factory=list)
    instructions: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "\n".join(self.texts)

    @property
    def thought(self) -> str:
        return "\n".join(self.thoughts)

    @property
    def system(self) -> str:
        return "\n".join(self.instructions)


def read_parts(content: JsonValue, role: str) -> Parts:
    """Reads the parts of a message's content, which may also be one text, or JSON inside a text."""
    parts = Parts()
    _add(_parts_in_text(content), role, parts, 0)
    return parts


def text_of(content: JsonValue) -> str:
    """All texts in a content, including reasoning, for values that hold only text."""
    parts = read_parts(content, "")
    return "\n".join(text for text in (parts.thought, parts.text) if text)


def _parts_in_text(content: JsonValue) -> JsonValue:
    """The parts that some frameworks write into a text as JSON; any other content unchanged."""
    if not isinstance(content, str) or content.lstrip()[:1] != "[":
        return content
    parts = decoded(content)
    if isinstance(parts, list) and parts and all(map(_is_part, parts)):
        return parts
    return content


def _is_part(value: JsonValue) -> bool:
    if not isinstance(value, dict):
        return False
    if is_request(value) or is_answer(value):
        return True
    if value.keys() <= {"text", "type", "annotations"}:
        return isinstance(value.get("text"), str)
    return value.get("type") in ("text", "image_url", "image") and "role" not in value


def _add(content: JsonValue, role: str, parts: Parts, depth: int) -> None:
    if content is None or depth > _MAX_DEPTH:
        return
    if isinstance(content, str):
        text = str(without_binary(content)).strip() if len(content) > 200 else content.strip()
        if text:
            parts.texts.append(text)
    elif isinstance(content, list):
        for part in content:
            _add(part, role, parts, depth + 1)
    elif isinstance(content, dict):
        _add_part(content, role, parts, depth)
    else:
        parts.texts.append(compact(content))


def _add_part(part: dict[str, JsonValue], role: str, parts: Parts, depth: int) -> None:
    wrapped = part.get("message_content")
    if isinstance(wrapped, dict):
        part = wrapped
    kind = type_of(part)
    if kind in _IGNORED or not part or _add_call(part, role, parts) or _add_code(part, parts):
        return
    thought = _thought(part, kind)
    note = _attachment(part, kind) if thought is None else None
    if thought is not None:
        parts.thoughts += [thought] if thought else []
    elif kind in ("system_prompt", "instructions"):
        parts.instructions.append(text_of(part.get("content")))
    elif note is not None:
        parts.texts.append(note)
    else:
        _add_text(part, role, parts, depth)


def _add_call(part: dict[str, JsonValue], role: str, parts: Parts) -> bool:
    """Adds a request, an answer, or both, because some providers call tools themselves.

    Returns False for other parts.
    """
    asks = is_request(part) or (role == "assistant" and _is_autogen_call(part))
    answers = is_answer(part) or (role == "tool" and _is_autogen_result(part))
    request = request_of(part) if asks else None
    if request is not None:
        parts.requests.append(request)
    if answers:
        parts.answers.append(answer_of(part))
    return asks or answers


def _add_text(part: dict[str, JsonValue], role: str, parts: Parts, depth: int) -> None:
    for key in _TEXTS:
        inner = part.get(key)
        if isinstance(inner, str) and inner.strip():
            _add(inner, role, parts, depth + 1)
            return
    for key in ("parts", "content", "text", "blocks"):
        inner = part.get(key)
        if isinstance(inner, list | dict):
            _add(inner, role, parts, depth + 1)
            return
    if any(isinstance(part.get(key), str) for key in _TEXTS):
        return
    if part.keys() == {"json"}:
        parts.texts.append(compact(part["json"]))
    else:
        parts.texts.append(compact(part))


def _thought(part: Mapping[str, JsonValue], kind: str) -> str | None:
    """The reasoning in a part; None without reasoning."""
    inner = part.get("reasoningContent") or part.get("reasoning_content")
    if isinstance(inner, dict):
        return text_of(inner.get("reasoningText") or inner.get("text"))
    marked = part.get("thought") is True
    if (
        kind not in ("thinking", "reasoning")
        and not marked
        and not (isinstance(part.get("thinking"), str) and part["thinking"])
    ):
        return None
    for key in _THOUGHTS:
        if part.get(key) and (text := text_of(part[key])):
            return text
    return ""


def _attachment(part: Mapping[str, JsonValue], kind: str) -> str | None:
    """A note about an image, a document or a sound; None if the part is no attachment."""
    named = any(word in kind for word in _ATTACHMENTS) or kind == "binary"
    held = next((key for key in _ATTACHMENT_KEYS if part.get(key)), None)
    if not named and (held is None or "text" in part):
        return None
    source = part.get("source")
    if isinstance(source, dict) and source.get("type") == "text":
        return compact(source.get("data"))
    if isinstance(source, dict) and source.get("type") == "content":
        return text_of(source.get("content"))
    transcript = part.get("transcript")
    if isinstance(transcript, str) and transcript.strip():
        return transcript.strip()
    shown = without_binary(dict(part))
    note = _note_in(shown)
    if note is not None:
        return note
    about = _address(shown)
    return f"({kind or held}{f', {about}' if about else ''})"


def _note_in(value: JsonValue) -> str | None:
    if isinstance(value, str):
        return value if value.startswith("(") and value.endswith(", not shown)") else None
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return next((note for item in inner if (note := _note_in(item)) is not None), None)


def _address(value: JsonValue) -> str:
    """The address, id or name of an attachment outside of the trace."""
    if isinstance(value, dict):
        for key in ("url", "uri", "fileUri", "file_uri", "file_id", "fileId", "filename", "name",
                    "id"):  # fmt: skip
            inner = value.get(key)
            if isinstance(inner, str) and 0 < len(inner) <= 300:
                return inner
        return next((text for inner in value.values() if (text := _address(inner))), "")
    return ""


def _add_code(part: Mapping[str, JsonValue], parts: Parts) -> bool:
    """Reads code that Gemini runs itself: one part has the code, another part its result."""
    for key in ("executable_code", "executableCode"):
        code = part.get(key)
        if isinstance(code, dict):
            parts.requests.append(ToolCallRequest("code_execution", dict(code)))
            return True
    for key in ("code_execution_result", "codeExecutionResult"):
        result = part.get(key)
        if isinstance(result, dict):
            failed = str(result.get("outcome", "")).upper() not in ("", "OUTCOME_OK", "OK")
            text = compact(result.get("output"))
            parts.answers.append(ToolAnswer(text, "code_execution", failed=failed))
            return True
    return False


def _is_autogen_result(part: Mapping[str, JsonValue]) -> bool:
    return "content" in part and ("call_id" in part or "is_error" in part)


def _is_autogen_call(part: Mapping[str, JsonValue]) -> bool:
    return "arguments" in part and isinstance(part.get("name"), str)
