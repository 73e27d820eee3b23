"""Reads values of OTLP's JSON form leniently.

A 64-bit integer is a number or a text, an enumeration is a number or a name, a field is in camel or
snake case, and any value may be null. No function here raises.
"""

import base64
import binascii
import math
from collections.abc import Iterator, Mapping
from typing import Any, Final

from pydantic import JsonValue

from api.otlp.records import Fields

MAX_LEVELS: Final = 64
"""Maximum nesting of an attribute's value, as in SDKs; deeper values are cut."""

CUT: Final = "(nested too deeply)"

_MAX_INT: Final = 2**64 - 1
_FLOATS: Final = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def field(holder: Mapping[str, Any], name: str) -> Any:
    """The field under its name in camel case or snake case."""
    found = holder.get(name)
    if found is not None:
        return found
    return holder.get("".join(f"_{c.lower()}" if c.isupper() else c for c in name))


def objects(holder: Mapping[str, Any], name: str) -> Iterator[dict[str, Any]]:
    found = field(holder, name)
    for one in found if isinstance(found, list) else ():
        if isinstance(one, dict):
            yield one


def text(value: Any) -> str:
    return value if isinstance(value, str) else "" if value is None else str(value)


def id_bytes(value: Any) -> bytes:
    """The bytes of a hexadecimal id; for other values, bytes of an invalid length."""
    if not isinstance(value, str) or not value:
        return b""
    try:
        return bytes.fromhex(value)
    except ValueError:
        return b"?"


def integer(value: Any) -> int:
    """The integer; 0 for other values and beyond 64 bits."""
    if isinstance(value, bool):
        return 0
    try:
        found = int(value) if isinstance(value, int | str) else int(float(value))
    except (ValueError, TypeError, OverflowError):
        found = _from_float_text(value)
    return found if 0 <= found <= _MAX_INT else 0


def _from_float_text(value: Any) -> int:
    try:
        return int(float(value))
    except (ValueError, TypeError, OverflowError):
        return 0


def enumerated(value: Any, names: Mapping[str, int], prefix: str) -> int:
    """The number of an enumeration's value, from a number or a name, with or without prefix."""
    if isinstance(value, str) and not value.lstrip("-").isdecimal():
        name = value.upper()
        return names.get(name, names.get(prefix + name, 0))
    return integer(value)


def attributes(holder: Mapping[str, Any], name: str = "attributes") -> Fields:
    """Reads a list of keys and values in OTLP's form, or a plain object."""
    return _pairs(field(holder, name), MAX_LEVELS)


def any_value(value: Any, levels: int = MAX_LEVELS) -> JsonValue:
    if not isinstance(value, dict):
        return _plain(value, levels)
    if levels == 0:
        return CUT
    for kind, inner in value.items():
        if inner is not None and (reader := _READERS.get(kind)) is not None:
            found: JsonValue = reader(inner, levels - 1)
            return found
    return None


def _pairs(raw: Any, levels: int) -> Fields:
    if isinstance(raw, dict):
        return {key: any_value(value, levels) for key, value in raw.items()}
    return {
        text(one.get("key")): any_value(one.get("value"), levels)
        for one in (raw if isinstance(raw, list) else ())
        if isinstance(one, dict)
    }


def _plain(value: Any, levels: int) -> JsonValue:
    if isinstance(value, list):
        return [any_value(one, levels - 1) for one in value] if levels else CUT
    found: JsonValue = value
    return found


def _string(value: Any, _levels: int) -> JsonValue:
    return text(value)


def _boolean(value: Any, _levels: int) -> JsonValue:
    return value.lower() == "true" if isinstance(value, str) else bool(value)


def _int64(value: Any, _levels: int) -> JsonValue:
    if isinstance(value, str):
        try:
            return int(value)
        except ValueError:
            return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int | float) else None


def _double(value: Any, _levels: int) -> JsonValue:
    if isinstance(value, str):
        if value in _FLOATS:
            return _FLOATS[value]
        try:
            return float(value)
        except ValueError:
            return value
    return value if isinstance(value, int | float) else None


def _bytes(value: Any, _levels: int) -> JsonValue:
    """The bytes as base64, from either alphabet."""
    raw = text(value).replace("-", "+").replace("_", "/")
    try:
        return base64.b64encode(base64.b64decode(raw + "=" * (-len(raw) % 4))).decode()
    except (binascii.Error, ValueError):
        return text(value)


def _array(value: Any, levels: int) -> JsonValue:
    found = value.get("values") if isinstance(value, dict) else value
    if levels <= 0:
        return CUT
    return [any_value(one, levels) for one in found] if isinstance(found, list) else []


def _map(value: Any, levels: int) -> JsonValue:
    if levels <= 0:
        return CUT
    found = value.get("values") if isinstance(value, dict) and "values" in value else value
    return _pairs(found, levels)


_READERS: Final = {
    name: reader
    for names, reader in (
        (("stringValue", "string_value"), _string),
        (("boolValue", "bool_value"), _boolean),
        (("intValue", "int_value"), _int64),
        (("doubleValue", "double_value"), _double),
        (("bytesValue", "bytes_value"), _bytes),
        (("arrayValue", "array_value"), _array),
        (("kvlistValue", "kvlist_value"), _map),
    )
    for name in names
}
