"""Answers that a tracer recorded as streamed chunks."""

from collections.abc import Mapping, Sequence

from pydantic import JsonValue

Object = Mapping[str, JsonValue]

_MIN_CHUNKS = 2


def assemble(value: Sequence[JsonValue]) -> list[JsonValue] | None:
    """Joins chunks of OpenAI's or Anthropic's streams into a message; None for other lists."""
    chunks = [item for item in value if isinstance(item, dict)]
    if len(chunks) < _MIN_CHUNKS or len(chunks) != len(value):
        return None
    if all(isinstance(chunk.get("choices"), list) for chunk in chunks):
        deltas = [delta for chunk in chunks for delta in _deltas(chunk)]
        return [_from_deltas(deltas)] if deltas else None
    if any(chunk.get("type") == "content_block_delta" for chunk in chunks):
        return [_from_events(chunks)]
    return None


def _deltas(chunk: Object) -> list[Object]:
    choices = chunk.get("choices")
    listed = choices if isinstance(choices, list) else []
    found = [choice.get("delta") for choice in listed[:1] if isinstance(choice, dict)]
    return [delta for delta in found if isinstance(delta, dict)]


def _from_deltas(deltas: Sequence[Object]) -> JsonValue:
    calls: dict[int, dict[str, str]] = {}
    for delta in deltas:
        listed = delta.get("tool_calls")
        for number, part in enumerate(listed if isinstance(listed, list) else []):
            if isinstance(part, dict):
                _add_call(calls, part, number)
    message: dict[str, JsonValue] = {"role": "assistant", "content": _joined(deltas, "content")}
    for key in ("refusal", "reasoning_content"):
        if text := _joined(deltas, key):
            message[key] = text
    if calls:
        message["tool_calls"] = [dict(call) for _, call in sorted(calls.items())]
    return message


def _add_call(calls: dict[int, dict[str, str]], part: Object, number: int) -> None:
    index = part.get("index")
    call = calls.setdefault(index if isinstance(index, int) else number, {"arguments": ""})
    function = part.get("function")
    body: Object = function if isinstance(function, dict) else {}
    for source, key in ((part, "id"), (body, "name")):
        value = source.get(key)
        if isinstance(value, str) and value:
            call[key] = value
    arguments = body.get("arguments")
    call["arguments"] += arguments if isinstance(arguments, str) else ""


def _joined(parts: Sequence[Object], key: str) -> str:
    return "".join(text for part in parts if isinstance(text := part.get(key), str))


def _from_events(events: Sequence[Object]) -> JsonValue:
    blocks: dict[int, dict[str, JsonValue]] = {}
    for event in events:
        index, start, delta = (event.get(key) for key in ("index", "content_block", "delta"))
        block = blocks.setdefault(index if isinstance(index, int) else 0, {})
        if isinstance(start, dict):
            block.update(start)
        if isinstance(delta, dict) and event.get("type") == "content_block_delta":
            for key in ("text", "thinking", "partial_json"):
                piece = delta.get(key)
                if isinstance(piece, str):
                    block[key] = f"{block.get(key) or ''}{piece}"
    for block in blocks.values():
        if written := block.pop("partial_json", None):
            block["input"] = written
    return {"role": "assistant", "content": [blocks[index] for index in sorted(blocks)]}
