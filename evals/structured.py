"""Asking a model for one JSON object of a given shape, and reading what comes back."""

import json
import math
from collections.abc import Iterator, Mapping
from enum import StrEnum
from functools import lru_cache
from typing import TypeVar, cast

from pydantic import BaseModel, JsonValue, ValidationError

A = TypeVar("A", bound=BaseModel)
Schema = dict[str, JsonValue]

TOOL_NAME = "answer"
_LONGEST_READ = 400_000
_MOST_OBJECTS = 200
_MOST_ERRORS = 6
_BOUNDS = {
    "minimum": "at least",
    "exclusiveMinimum": "above",
    "maximum": "at most",
    "exclusiveMaximum": "below",
    "minItems": "least number of items",
    "maxItems": "greatest number of items",
    "minLength": "least number of characters",
    "maxLength": "greatest number of characters",
}
_LEFT_OUT = frozenset({*_BOUNDS, "title", "default", "format", "pattern", "$defs"})


class Mode(StrEnum):
    """How a model is made to answer in a shape, the most binding first."""

    SCHEMA = "JSON-schema mode"
    TOOL = "tool-call mode"
    PLAIN = "plain mode"

    @property
    def plainer(self) -> "Mode | None":
        return {Mode.SCHEMA: Mode.TOOL, Mode.TOOL: Mode.PLAIN}.get(self)


class Unreadable(ValueError):
    """An answer that does not validate. The message names what the model did, never its words."""


@lru_cache(maxsize=256)
def schema_of(answer: type[BaseModel]) -> Schema:
    """The answer's JSON schema in the subset that every provider's strict mode accepts.

    References are inlined, every property is required, and bounds move into the
    description: several providers refuse the keywords, all of them read the words.
    Bounds are enforced by `read`.
    """
    full = cast(Schema, answer.model_json_schema())
    return _portable(full, cast(Mapping[str, JsonValue], full.get("$defs", {})), ())


def _portable(node: Schema, defs: Mapping[str, JsonValue], within: tuple[str, ...]) -> Schema:
    reference = node.get("$ref")
    if isinstance(reference, str):
        name = reference.rsplit("/", 1)[-1]
        if name in within:
            raise TypeError(f"{name} contains itself: no provider's strict mode accepts that.")
        target = {**cast(Schema, defs[name]), **{k: v for k, v in node.items() if k != "$ref"}}
        return _portable(target, defs, (*within, name))
    kept = {k: v for k, v in node.items() if k not in _LEFT_OUT}
    bounds = [f"{words} {node[key]}" for key, words in _BOUNDS.items() if key in node]
    if bounds:
        described = [str(node["description"])] if "description" in node else []
        kept["description"] = " ".join([*described, f"({', '.join(bounds)})"])
    return {key: _portable_value(key, value, defs, within) for key, value in kept.items()} | (
        _closed(node) if "properties" in node else {}
    )


def _portable_value(
    key: str, value: JsonValue, defs: Mapping[str, JsonValue], within: tuple[str, ...]
) -> JsonValue:
    if key == "properties" and isinstance(value, dict):
        return {name: _portable(cast(Schema, v), defs, within) for name, v in value.items()}
    if key in {"items", "additionalProperties"} and isinstance(value, dict):
        return _portable(value, defs, within)
    if key in {"anyOf", "allOf", "prefixItems"} and isinstance(value, list):
        return [_portable(cast(Schema, v), defs, within) for v in value]
    return value


def _closed(node: Schema) -> Schema:
    properties = cast(Mapping[str, JsonValue], node["properties"])
    return {"required": list(properties), "additionalProperties": False}


def request_fields(mode: Mode, answer: type[BaseModel]) -> dict[str, object]:
    """What the request carries, beside the prompt, to bind the model to the schema."""
    schema = schema_of(answer)
    if mode is Mode.SCHEMA:
        form = {"name": TOOL_NAME, "strict": True, "schema": schema}
        return {"response_format": {"type": "json_schema", "json_schema": form}}
    if mode is Mode.TOOL:
        about = "Gives the answer to the question."
        function = {"name": TOOL_NAME, "description": about, "parameters": schema}
        return {
            "tools": [{"type": "function", "function": function}],
            "tool_choice": {"type": "function", "function": {"name": TOOL_NAME}},
        }
    return {}


@lru_cache(maxsize=256)
def instructions(answer: type[BaseModel]) -> str:
    """The schema in words, for a model that nothing else binds to it."""
    schema = json.dumps(schema_of(answer), ensure_ascii=False)
    return (
        "Answer with one JSON object and nothing else: no preface, no code fence. "
        f"It must fit this JSON schema:\n{schema}"
    )


def correction(answer: type[BaseModel], problem: Unreadable) -> str:
    """What a model is told that answered with something unusable."""
    return f"That answer cannot be used: {problem}. Answer again.\n\n{instructions(answer)}"


def read(text: str, answer: type[A]) -> A:
    """The answer in `text`, be it bare, fenced or amid chatter. Raises Unreadable.

    A model may quote JSON from the trace before it answers, so of several objects
    that fit, the last one counts.
    """
    if not text.strip():
        raise Unreadable("it answered nothing")
    objects = list(_objects(text[:_LONGEST_READ]))
    if not objects:
        raise Unreadable(f"it answered {len(text)} characters without a complete JSON object")
    problem: Unreadable | None = None
    for found in reversed(objects):
        try:
            return _validated(found, answer)
        except Unreadable as error:
            problem = problem or error
    raise problem or Unreadable("no object fits")


def _objects(text: str) -> Iterator[dict[str, JsonValue]]:
    decoder = json.JSONDecoder(strict=False)
    start = text.find("{")
    for _ in range(_MOST_OBJECTS):
        if start < 0:
            return
        try:
            found, end = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            end = start + 1
        else:
            yield found
        start = text.find("{", end)


def _validated(found: dict[str, JsonValue], answer: type[A]) -> A:
    try:
        _refuse_infinite(found)
        return _finite(answer.model_validate(found))
    except ValidationError as error:
        wrapped = next(iter(found.values())) if len(found) == 1 else None
        if isinstance(wrapped, dict) and not answer.model_fields.keys() & found.keys():
            return _validated(wrapped, answer)
        raise Unreadable(_told(error, answer)) from None


def _finite(answer: A) -> A:
    _refuse_infinite(answer.model_dump())
    return answer


def _refuse_infinite(value: JsonValue) -> None:
    if any(not math.isfinite(number) for number in _numbers(value)):
        raise Unreadable("a number in its JSON is not finite")


def _numbers(value: object) -> Iterator[float]:
    if isinstance(value, float):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _numbers(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _numbers(item)


def _told(error: ValidationError, answer: type[BaseModel]) -> str:
    """What did not fit, field by field, without the names the model made up."""
    known = _names(schema_of(answer))
    found = error.errors(include_url=False, include_context=False, include_input=False)
    told = [f"`{_place(item['loc'], known)}`: {item['msg']}" for item in found[:_MOST_ERRORS]]
    more = [f"and {len(found) - _MOST_ERRORS} more"] if len(found) > _MOST_ERRORS else []
    return "; ".join(["its JSON does not fit the schema: " + "; ".join(told), *more])


def _place(location: tuple[int | str, ...], known: frozenset[str]) -> str:
    return ".".join(
        str(part) if isinstance(part, int) or part in known else "?" for part in location
    )


def _names(schema: JsonValue) -> frozenset[str]:
    if isinstance(schema, list):
        return frozenset().union(*map(_names, schema))
    if not isinstance(schema, dict):
        return frozenset()
    properties = schema.get("properties")
    own = frozenset(properties) if isinstance(properties, dict) else frozenset()
    return own.union(*map(_names, schema.values()))
