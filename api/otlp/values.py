"""Attribute values as JSON, and what has been read of them."""

import base64
from collections.abc import Iterable, Mapping

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from pydantic import JsonValue

from core import jsontext
from core.text import storable

_LONGEST_INDEX = 9


def plain(value: AnyValue) -> JsonValue:
    match value.WhichOneof("value"):
        case "array_value":
            return [plain(item) for item in value.array_value.values]
        case "kvlist_value":
            return attributes(value.kvlist_value.values)
        case "bytes_value":
            return base64.b64encode(value.bytes_value).decode()
        case "string_value":
            return value.string_value
        case "bool_value":
            return value.bool_value
        case "int_value":
            return value.int_value
        case "double_value":
            return value.double_value
    return None


def attributes(pairs: Iterable[KeyValue]) -> dict[str, JsonValue]:
    return {pair.key: plain(pair.value) for pair in pairs}


def structured(value: JsonValue) -> JsonValue:
    """What a text that holds a JSON object or list says; any other value as it is."""
    if not isinstance(value, str) or value.lstrip()[:1] not in ("{", "["):
        return value
    try:
        found: JsonValue = storable(jsontext.loads(value))
    except (ValueError, RecursionError):
        return value
    return found


class Attributes:
    """What is taken is known; what is left at the end is metadata."""

    def __init__(self, values: Mapping[str, JsonValue]) -> None:
        self._left = dict(values)

    def peek(self, *names: str) -> JsonValue:
        """The first that says something."""
        return next((v for name in names if (v := self._left.get(name)) is not None), None)

    def take(self, *names: str) -> JsonValue:
        """The first that says something; the others go as well."""
        found = self.peek(*names)
        for name in names:
            self._left.pop(name, None)
        return found

    def take_text(self, *names: str) -> str | None:
        found = self.take(*names)
        return None if found is None or isinstance(found, list | dict) else str(found)

    def take_under(self, prefix: str) -> dict[str, JsonValue]:
        """Everything under a prefix, by the rest of its name."""
        names = [name for name in self._left if name.startswith(prefix)]
        return {name.removeprefix(prefix): self._left.pop(name) for name in names}

    @property
    def left(self) -> dict[str, JsonValue]:
        return self._left


def listed(flat: Mapping[str, JsonValue]) -> list[dict[str, JsonValue]]:
    """`0.a.b`, `0.c`, `1.a.b` as the list of objects they are, in the order of their indexes."""
    found: dict[int, dict[str, JsonValue]] = {}
    for name, value in flat.items():
        index, _, rest = name.partition(".")
        if rest and index.isdecimal() and len(index) <= _LONGEST_INDEX:
            found.setdefault(int(index), {})[rest] = value
    return [found[index] for index in sorted(found)]


def under(flat: Mapping[str, JsonValue], prefix: str) -> dict[str, JsonValue]:
    return {k.removeprefix(prefix): v for k, v in flat.items() if k.startswith(prefix)}


def given(**fields: JsonValue) -> dict[str, JsonValue]:
    """Only those that say something."""
    return {name: value for name, value in fields.items() if value is not None}
