"""Makes a valid instance of any answer schema, determined by the question alone."""

import re
from random import Random
from typing import Any
from zlib import crc32

import orjson

_SCHEMA_IN_WORDS = re.compile(r"JSON schema:\n(\{.*\})", re.DOTALL)
# A question that lists tool calls needs one entry per call, and findings name steps of the trace.
# Each line of the record follows a bar.
_NUMBERED = re.compile(r"^(?:\| )?(\d+)\. \[\d+\] ", re.MULTILINE)
_STEP = re.compile(r"^(?:\| )?\[(\d+)\] ", re.MULTILINE)
_MAX_STEPS = 3
_BOUNDS = {
    "minimum": re.compile(r"at least (-?[\d.]+)"),
    "maximum": re.compile(r"at most (-?[\d.]+)"),
    "minItems": re.compile(r"least number of items (\d+)"),
    "maxItems": re.compile(r"greatest number of items (\d+)"),
}


def answer_for(asked: dict[str, Any]) -> str:
    """The answer to a chat-completion request, as JSON text."""
    content = text_of(asked["messages"])
    draw = Random(crc32(content.encode(errors="replace")))
    answer = instance(schema_of(asked, content), draw)
    calls = [int(number) for number in _NUMBERED.findall(content)]
    steps = [int(number) for number in _STEP.findall(content)]
    return orjson.dumps(_fitting(answer, calls, steps, draw)).decode()


def _fitting(answer: Any, calls: list[int], steps: list[int], draw: Random) -> Any:
    """The answer with existing steps of the trace, and with one entry per listed call."""
    if isinstance(answer, list):
        return [_fitting(item, calls, steps, draw) for item in answer]
    if not isinstance(answer, dict):
        return answer
    fitted: dict[str, Any] = {}
    for name, value in answer.items():
        if name == "steps":
            count = min(len(steps), draw.randint(1, _MAX_STEPS))
            fitted[name] = sorted(draw.sample(steps, count))
        elif name == "calls" and isinstance(value, list) and value:
            entries = [{**value[at % len(value)], "call": call} for at, call in enumerate(calls)]
            fitted[name] = _fitting(entries, calls, steps, draw)
        else:
            fitted[name] = _fitting(value, calls, steps, draw)
    return fitted


def text_of(messages: list[dict[str, Any]]) -> str:
    parts: list[str] = []
    for message in messages:
        content = message.get("content") or ""
        if isinstance(content, str):
            parts.append(content)
        else:
            parts.extend(str(part.get("text", "")) for part in content)
    return "\n".join(parts)


def schema_of(asked: dict[str, Any], content: str) -> dict[str, Any]:
    """The schema in a request, which may be stated in three ways."""
    form: dict[str, Any] = asked.get("response_format") or {}
    if form.get("type") == "json_schema":
        return dict(form["json_schema"]["schema"])
    if asked.get("tools"):
        return dict(asked["tools"][0]["function"]["parameters"])
    in_words = _SCHEMA_IN_WORDS.search(content)
    return dict(orjson.loads(in_words[1])) if in_words else {"type": "string"}


def instance(schema: dict[str, Any], draw: Random) -> Any:
    for key in ("anyOf", "oneOf"):
        if key in schema:
            kinds = [kind for kind in schema[key] if kind.get("type") != "null"]
            return instance(kinds[0], draw)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return draw.choice(schema["enum"])
    return _by_type(schema, draw)


def _by_type(schema: dict[str, Any], draw: Random) -> Any:
    match schema.get("type"):
        case "object":
            properties: dict[str, Any] = schema.get("properties", {})
            return {name: instance(kind, draw) for name, kind in properties.items()}
        case "array":
            fewest = int(_bound(schema, "minItems", 1))
            most = int(_bound(schema, "maxItems", max(fewest, 3)))
            count = draw.randint(fewest, max(fewest, min(most, fewest + 2)))
            return [instance(schema.get("items", {"type": "string"}), draw) for _ in range(count)]
        case "number":
            lowest, highest = _bound(schema, "minimum", 0.0), _bound(schema, "maximum", 1.0)
            return round(draw.uniform(lowest, highest), 2)
        case "integer":
            low = int(_bound(schema, "minimum", 0))
            return draw.randint(low, max(low, int(_bound(schema, "maximum", low + 1))))
        case "boolean":
            return draw.random() < 0.8
        case "null":
            return None
    return f"Mock finding {draw.getrandbits(24):06x}: the trace was read and nothing was judged."


def _bound(schema: dict[str, Any], name: str, default: float) -> float:
    """A bound by its keyword, or by Assay's words in the description."""
    if name in schema:
        return float(schema[name])
    found = _BOUNDS[name].search(str(schema.get("description", "")))
    return float(found[1]) if found else default
