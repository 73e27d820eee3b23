"""Attribute values as JSON, with a record of the attributes that were read."""

import ast
import base64
from collections.abc import Iterable, Mapping

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from pydantic import JsonValue

from core import json_codec
from core.safe_text import sanitized_json

_MAX_INDEX_DIGITS = 9
_MAX_LITERAL_CHARACTERS = 100_000


def plain(value: AnyValue) -> JsonValue:
    match value.WhichOneof("value"):
        case "string_value":
            return value.string_value
        case "int_value":
            return value.int_value
        case "array_value":
            return [plain(item) for item in value.array_value.values]
        case "kvlist_value":
            return attributes(value.kvlist_value.values)
        case "bytes_value":
            return base64.b64encode(value.bytes_value).decode()
        case "bool_value":
            return value.bool_value
        case "double_value":
            return value.double_value
    return None


def attributes(pairs: Iterable[KeyValue]) -> dict[str, JsonValue]:
    return {pair.key: plain(pair.value) for pair in pairs}


def structured(value: JsonValue) -> JsonValue:
    """The value of a text with a JSON object or list; any other value unchanged."""
    if not isinstance(value, str) or value.lstrip()[:1] not in ("{", "["):
        return value
    return unquoted(value)


def unquoted(value: JsonValue) -> JsonValue:
    """The value of a text with any JSON, including strings and numbers."""
    if not isinstance(value, str):
        return value
    try:
        found: JsonValue = sanitized_json(json_codec.loads(value))
    except (ValueError, RecursionError):
        return value
    return found


def arguments(value: JsonValue) -> JsonValue:
    """Like `structured`, but also reads Python literals, in which LangChain writes a tool's
    arguments.
    """
    decoded = structured(value)
    if not isinstance(decoded, str) or not decoded.lstrip().startswith("{"):
        return decoded
    if len(decoded) > _MAX_LITERAL_CHARACTERS:
        return decoded
    try:
        literal = ast.literal_eval(decoded.strip())
        mended: JsonValue = sanitized_json(json_codec.loads(json_codec.dumps(literal)))
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return decoded
    return mended if isinstance(mended, dict) else decoded


class Attributes:
    """The attributes of a span for several readers; attributes that no reader took become
    metadata.
    """

    def __init__(self, values: Mapping[str, JsonValue]) -> None:
        self._values = values
        self._taken: set[str] = set()
        self.heads = {name.partition(".")[0] for name in values}
        """The first words of the dotted names."""

    def peek(self, *names: str) -> JsonValue:
        """The first non-empty value."""
        for name in names:
            if (found := self._values.get(name)) is not None:
                return found
        return None

    def take(self, *names: str) -> JsonValue:
        """The first non-empty value. All the names then count as read."""
        self._taken.update(names)
        return self.peek(*names)

    def take_text(self, *names: str) -> str | None:
        found = self.take(*names)
        return None if found is None or isinstance(found, list | dict) else str(found)

    def take_under(self, prefix: str) -> dict[str, JsonValue]:
        """All values under a prefix, by the rest of their names."""
        names = [name for name in self._values if name.startswith(prefix)]
        self._taken.update(names)
        return {name.removeprefix(prefix): self._values[name] for name in names}

    def names(self, prefix: str) -> list[str]:
        return [name for name in self._values if name.startswith(prefix)]

    def take_listed(self, prefix: str) -> list[dict[str, JsonValue]]:
        """The objects under `prefix0.`, `prefix1.` and so on, in the order of their indexes."""
        names = [
            name
            for name in self._values
            if name.startswith(prefix) and name[len(prefix) : len(prefix) + 1].isdecimal()
        ]
        self._taken.update(names)
        return listed({name.removeprefix(prefix): self._values[name] for name in names})

    @property
    def left(self) -> dict[str, JsonValue]:
        return {name: value for name, value in self._values.items() if name not in self._taken}


def listed(flat: Mapping[str, JsonValue]) -> list[dict[str, JsonValue]]:
    """Converts `0.a.b`, `0.c`, `1.a.b` to a list of objects in the order of their indexes."""
    by_index: dict[int, dict[str, JsonValue]] = {}
    for name, value in flat.items():
        index, _, rest = name.partition(".")
        if rest and index.isdecimal() and len(index) <= _MAX_INDEX_DIGITS:
            by_index.setdefault(int(index), {})[rest] = value
    return [by_index[index] for index in sorted(by_index)]


def under(flat: Mapping[str, JsonValue], prefix: str) -> dict[str, JsonValue]:
    return {k.removeprefix(prefix): v for k, v in flat.items() if k.startswith(prefix)}


def given(**fields: JsonValue) -> dict[str, JsonValue]:
    """Only the non-empty values."""
    return {name: value for name, value in fields.items() if value is not None}
