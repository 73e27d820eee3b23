"""Asks a model for one JSON object of a given shape, and reads the answer."""

import json
import math
from collections.abc import Iterator, Mapping
from enum import StrEnum
from functools import lru_cache
from typing import Self, TypeVar, cast

from pydantic import BaseModel, JsonValue, ValidationError, model_validator

from evals.judges.near_json import Object, decoded, objects_in
from evals.judges.schema_fit import WrongType, fitted_to, refuse_other_types

A = TypeVar("A", bound=BaseModel)
Schema = dict[str, JsonValue]

TOOL_NAME = "answer"
_MAX_ERRORS = 6
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
    """Ways to make a model answer in a shape, the most binding first."""

    SCHEMA = "JSON-schema mode"
    TOOL = "tool-call mode"
    PLAIN = "plain mode"

    @property
    def plainer(self) -> "Mode | None":
        return {Mode.SCHEMA: Mode.TOOL, Mode.TOOL: Mode.PLAIN}.get(self)


class Unreadable(ValueError):
    """An answer that does not validate.

    The message describes the fault without quoting the model.
    """


class SeparateParts(BaseModel):
    """An answer whose properties are used separately. A property that does not validate is None.

    An object without any usable property does not validate.
    """

    @model_validator(mode="after")
    def _has_a_part(self) -> Self:
        if all(part is None for _, part in self):
            raise ValueError("none of its parts fits the schema")
        return self


@lru_cache(maxsize=256)
def schema_of(answer: type[BaseModel]) -> Schema:
    """The answer's JSON schema in the subset that every provider's strict mode accepts.

    References are inlined, and every property is required. Bounds move into the description,
    because several providers refuse the keywords but all models read the words. `read` enforces the
    bounds.
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
    portable = {k: v for k, v in node.items() if k not in _LEFT_OUT}
    bounds = [f"{words} {node[key]}" for key, words in _BOUNDS.items() if key in node]
    if bounds:
        described = [str(node["description"])] if "description" in node else []
        portable["description"] = " ".join([*described, f"({', '.join(bounds)})"])
    return {key: _portable_value(key, value, defs, within) for key, value in portable.items()} | (
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
    """The fields of the request that bind the model to the schema."""
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
    """The schema in words, for a model that no option of the request binds to the schema."""
    schema = json.dumps(schema_of(answer), ensure_ascii=False)
    return (
        "Answer with one JSON object and nothing else: no preface, no code fence. "
        f"It must fit this JSON schema:\n{schema}"
    )


def correction(answer: type[BaseModel], problem: Unreadable) -> str:
    """The message that asks the model for a correction of an unusable answer."""
    return f"That answer cannot be used: {problem}. Answer again.\n\n{instructions(answer)}"


def read(text: str, answer: type[A]) -> A:
    """Reads the answer in `text`: bare, fenced, within other text, or nearly JSON.

    Raises Unreadable.
    """
    if not text.strip():
        raise Unreadable("it answered nothing")
    problem: Unreadable | None = None
    for found in objects_in(text):
        try:
            return _validated(found, answer)
        except Unreadable as error:
            problem = problem or error
        except RecursionError:
            problem = problem or Unreadable("its JSON is nested too deeply")
    raise problem or Unreadable(
        f"it answered {len(text)} characters without a complete JSON object"
    )


def _validated(candidate: Object, answer: type[A]) -> A:
    schema = schema_of(answer)
    fitted = cast(Object, fitted_to(schema, candidate))
    try:
        if issubclass(answer, SeparateParts):
            fitted = _usable_parts(schema, fitted)
        else:
            _refuse_infinite(fitted)
            refuse_other_types(schema, fitted)
        return _finite(answer.model_validate(fitted))
    except WrongType as error:
        raise Unreadable(f"its JSON does not fit the schema: {error}") from None
    except ValidationError as error:
        wrapped = _wrapped(fitted, answer)
        if wrapped is not None:
            return _validated(wrapped, answer)
        raise Unreadable(_error_text(error, answer)) from None


def _usable_parts(schema: Schema, candidate: Object) -> Object:
    """The object without the parts that hold a value of a wrong type.

    Raises the error of the first such part if no other part is left.
    """
    properties = cast(Mapping[str, JsonValue], schema["properties"])
    usable: Object = {}
    problem: ValueError | None = None
    for name, part in candidate.items():
        try:
            if name in properties:
                _refuse_infinite(part)
                refuse_other_types(properties[name], part, name)
            usable[name] = part
        except (Unreadable, WrongType) as error:
            problem = problem or error
    if problem is not None and not usable:
        raise problem
    return usable


def _wrapped(candidate: Object, answer: type[BaseModel]) -> Object | None:
    """The answer inside an object with one key that is not in the schema."""
    if len(candidate) != 1 or answer.model_fields.keys() & candidate.keys():
        return None
    inner = next(iter(candidate.values()))
    value = decoded(inner) if isinstance(inner, str) else inner
    return value if isinstance(value, dict) else None


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


def _error_text(error: ValidationError, answer: type[BaseModel]) -> str:
    """The validation errors per field, without names that the model made up."""
    known = _names(schema_of(answer))
    found = error.errors(include_url=False, include_context=False, include_input=False)
    told = [
        f"`{_place(item['loc'], known) or 'answer'}`: {item['msg']}" for item in found[:_MAX_ERRORS]
    ]
    more = [f"and {len(found) - _MAX_ERRORS} more"] if len(found) > _MAX_ERRORS else []
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
