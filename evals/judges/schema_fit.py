"""Corrects small differences between an answer and its schema, and refuses others.

Keys and choices in another case, and objects or lists written as strings, are corrected. A boolean
instead of a number, or a number instead of a boolean, is refused, because pydantic would convert
it.
"""

import re
from collections.abc import Mapping

from pydantic import JsonValue

from evals.judges.near_json import decoded

_SEPARATORS = re.compile(r"[\s_-]+")


class WrongType(ValueError):
    """The message names the field in the schema's words, never in the model's words."""


def fitted_to(schema: JsonValue, value: JsonValue) -> JsonValue:
    """`value` with the schema's spelling of keys and choices."""
    if not isinstance(schema, dict):
        return value
    options = schema.get("anyOf")
    if isinstance(options, list):
        return _fitted_to_one(options, value)
    properties = schema.get("properties")
    if isinstance(value, str) and schema.get("type") in ("object", "array"):
        inner = decoded(value)
        return fitted_to(schema, inner) if isinstance(inner, dict | list) else value
    if isinstance(properties, dict) and isinstance(value, dict):
        return _fitted_object(properties, value)
    if isinstance(value, list) and "items" in schema:
        return [fitted_to(schema["items"], item) for item in value]
    choices = schema.get("enum")
    if isinstance(choices, list) and isinstance(value, str) and value not in choices:
        return next(
            (choice for choice in choices if isinstance(choice, str) and _same(choice, value)),
            value,
        )
    return value


def refuse_other_types(schema: JsonValue, value: JsonValue, place: str = "") -> None:
    """Raises WrongType for a boolean instead of a number, or a number instead of a boolean."""
    if not isinstance(schema, dict):
        return
    _refuse_other_type(_kinds(schema), value, place)
    options = schema.get("anyOf")
    for option in options if isinstance(options, list) and isinstance(value, dict | list) else ():
        refuse_other_types(option, value, place)
    properties = schema.get("properties")
    if isinstance(properties, dict) and isinstance(value, dict):
        for name in properties.keys() & value.keys():
            refuse_other_types(properties[name], value[name], f"{place}.{name}".lstrip("."))
    if isinstance(value, list):
        for number, item in enumerate(value):
            refuse_other_types(schema.get("items"), item, f"{place}.{number}")


def _refuse_other_type(kinds: set[str], value: JsonValue, place: str) -> None:
    numeric = bool(kinds & {"number", "integer"})
    if isinstance(value, bool):
        if numeric and "boolean" not in kinds:
            raise WrongType(f"`{place}`: a boolean is not a number")
    elif isinstance(value, int | float) and "boolean" in kinds and not numeric:
        raise WrongType(f"`{place}`: a number is not a boolean")


def _fitted_to_one(options: list[JsonValue], value: JsonValue) -> JsonValue:
    for option in options:
        fitted = fitted_to(option, value)
        if fitted != value:
            return fitted
    return value


def _fitted_object(
    properties: Mapping[str, JsonValue], value: Mapping[str, JsonValue]
) -> dict[str, JsonValue]:
    known = {_plain(name): name for name in properties}
    fitted: dict[str, JsonValue] = {}
    for key, inner in value.items():
        name = key if key in properties else known.get(_plain(key), key)
        if name != key and (name in value or name in fitted):
            name = key
        fitted[name] = fitted_to(properties.get(name), inner)
    return fitted


def _kinds(schema: Mapping[str, JsonValue]) -> set[str]:
    kind = schema.get("type")
    kinds = {kind} if isinstance(kind, str) else set()
    if isinstance(kind, list):
        kinds = {one for one in kind if isinstance(one, str)}
    options = schema.get("anyOf")
    for option in options if isinstance(options, list) else ():
        if isinstance(option, dict):
            kinds |= _kinds(option)
    return kinds


def _plain(text: str) -> str:
    return _SEPARATORS.sub("", text).casefold()


def _same(first: str, other: str) -> bool:
    return _plain(first) == _plain(other.strip(" .\"'`*"))
