"""Writes JSON values as short text, complete except for binary content."""

import ast

import orjson
from pydantic import JsonValue

from core.json_codec import dumps, has_long_number
from evals.transcript.binary import MIN_BINARY_CHARACTERS, may_hold_binary, without_binary

# Parsing a longer text takes a second and saves nothing, because the text is truncated anyway.
_MAX_PARSED = 2_000_000
_MAX_LITERAL = 20_000
# Up to this length, a value is easier to read on one line.
_MAX_LINE = 200
_MIN_ENTRIES = 2
# Up to this length, an entry of a list stays on one line, so that entries can be compared.
_MAX_ENTRY = 1_000


def compact(value: JsonValue) -> str:
    """JSON on one line, without white space and escapes; other text unchanged.

    JSON inside a string counts as JSON.
    """
    if isinstance(value, str):
        return _compact_text(value)
    if value is None:
        return ""
    return _written(value)


def lay_out(text: str) -> str:
    """Compact JSON with each entry of a long list on its own line; other text unchanged."""
    if (
        len(text) <= _MAX_LINE
        or not _looks_like_json(text)
        or has_long_number(text.encode("utf-8", "replace"))
    ):
        return text
    value = decoded(text)
    return text if isinstance(value, str) else _layout(value, _MAX_LINE)


def decoded(value: JsonValue) -> JsonValue:
    """The value in a string of JSON; any other value unchanged."""
    if isinstance(value, str) and _looks_like_json(value):
        try:
            parsed: JsonValue = orjson.loads(value)
        except ValueError:
            return value
        return parsed
    return value


def decoded_arguments(value: JsonValue) -> JsonValue:
    """Like `decoded`, but also reads the `str()` form of a Python dict, and JSON that was encoded
    twice.
    """
    parsed = decoded(value)
    if isinstance(parsed, str) and parsed[:1] == '"' and len(parsed) <= _MAX_LITERAL:
        try:
            parsed = decoded(orjson.loads(parsed))
        except ValueError:
            return value
    if isinstance(parsed, str) and len(parsed) <= _MAX_LITERAL and parsed.lstrip()[:1] == "{":
        try:
            literal = ast.literal_eval(parsed.strip())
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            return parsed
        if isinstance(literal, dict) and all(isinstance(key, str) for key in literal):
            return decoded(dumps(literal))
    return parsed


def _compact_text(text: str) -> str:
    text = text.strip()
    if not _looks_like_json(text) or _has_long_number(text):
        # Prose is not searched: binary content has no spaces or has a prefix.
        if len(text) >= MIN_BINARY_CHARACTERS and (
            " " not in text[:MIN_BINARY_CHARACTERS] or ";base64," in text
        ):
            return str(without_binary(text))
        return text
    parsed = decoded(text)
    return text if isinstance(parsed, str) else _written(parsed)


def _written(value: JsonValue) -> str:
    text = dumps(value)
    return dumps(without_binary(value)) if may_hold_binary(text) else text


def _layout(value: JsonValue, longest: int) -> str:
    """`longest`: maximum length of a line that is not broken."""
    line = dumps(value)
    if len(line) <= longest:
        return line
    if isinstance(value, list) and len(value) >= _MIN_ENTRIES:
        return "[\n" + ",\n".join(_layout(item, _MAX_ENTRY) for item in value) + "]"
    if isinstance(value, dict):
        entries = [f"{dumps(key)}:{_layout(item, longest)}" for key, item in value.items()]
        if len(value) > _MIN_ENTRIES and all(isinstance(item, dict) for item in value.values()):
            return "{\n" + ",\n".join(entries) + "}"
        return "{" + ",".join(entries) + "}"
    return line


def _looks_like_json(text: str) -> bool:
    if len(text) > _MAX_PARSED:
        return False
    return text[:1] in ("{", "[") or (text[:1].isspace() and text.lstrip()[:1] in ("{", "["))


def _has_long_number(text: str) -> bool:
    return has_long_number(text.encode("utf-8", "replace"))
