"""Finds JSON objects in a model's answer: bare, fenced, within other text, or nearly JSON.

Nearly JSON is a complete object with mistakes of form: trailing commas, Python literals,
typographic quotes, comments, bad escapes, or JSON within a JSON string.
"""

import json
import re
from collections.abc import Iterator
from typing import Final

from pydantic import JsonValue

from evals.judges.tolerant_json import NotJson, read_object

MAX_READ: Final = 400_000
_MAX_TOLERATED: Final = 100_000
_MAX_TRIES: Final = 20
_MAX_OBJECTS: Final = 200
_MAX_NESTED: Final = 3
# The end of a reasoning model's thoughts.
_THOUGHTS_END: Final = re.compile(
    r"</(?:\w+:)?(?:think|thinking|thought|thoughts|reasoning|reflection|scratchpad)>"
    r"|\[/THINK\]|◁/think▷|<\|end_of_(?:thought|thinking)\|>"
    r"|<\|channel\|>final(?:\s*<\|constrain\|>\w*)?\s*<\|message\|>",
    re.IGNORECASE,
)
_THOUGHTS_BEGIN: Final = re.compile(
    r"\s*(?:<(?:\w+:)?(?:think|thinking|thought|reasoning)>|\[THINK\]|◁think▷)", re.IGNORECASE
)

Object = dict[str, JsonValue]


def objects_in(text: str) -> Iterator[Object]:
    """The objects in an answer, the likeliest first. A model may quote JSON before it answers."""
    text = text[:MAX_READ]
    answer = without_thoughts(text)
    for part in dict.fromkeys((answer, text)):
        yield from reversed(list(_objects(part)))
    inner = _in_a_string(answer, 0)
    if inner is not None:
        yield inner
    yield from reversed(list(_nearly(answer[:_MAX_TOLERATED])))


def without_thoughts(text: str) -> str:
    """The text after a reasoning model's thoughts, if they are marked."""
    end = 0
    for found in _THOUGHTS_END.finditer(text):
        end = found.end()
    rest = text[end:]
    if end and "{" not in rest and rest.strip()[:1] not in ('"', "'"):
        # The marker is part of the answer, because nothing follows it.
        rest = text
    opening = _THOUGHTS_BEGIN.match(rest)
    return rest[opening.end() :] if opening is not None else rest


def decoded(text: str) -> JsonValue:
    """The value of a JSON text, or the text itself if it is not JSON."""
    try:
        value: JsonValue = json.loads(text, strict=False)
    except (ValueError, RecursionError):
        return text
    return value


def _objects(text: str) -> Iterator[Object]:
    decoder = json.JSONDecoder(strict=False)
    start = text.find("{")
    for _ in range(_MAX_OBJECTS):
        if start < 0:
            return
        try:
            found, end = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            end = start + 1
        else:
            yield found
        start = text.find("{", end)


def _in_a_string(text: str, depth: int) -> Object | None:
    """The object in a JSON string that was encoded once or more."""
    stripped = text.strip().removeprefix("```json").removeprefix("```").removesuffix("```").strip()
    if stripped[:1] != '"' or depth >= _MAX_NESTED:
        return None
    value = decoded(stripped)
    if not isinstance(value, str) or value == stripped:
        return None
    found = list(_objects(value))
    return found[-1] if found else _in_a_string(value, depth + 1)


def _nearly(text: str) -> Iterator[Object]:
    """Complete objects with mistakes of form."""
    start = text.find("{")
    for _ in range(_MAX_TRIES):
        if start < 0:
            return
        try:
            found, end = read_object(text, start)
        except NotJson:
            end = start + 1
        else:
            yield found
        start = text.find("{", end)
