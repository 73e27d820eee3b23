"""JSON text for the store and the wire.

orjson is several times faster than the standard library but rounds, or refuses, integers
beyond 64 bits, which clients do send; those documents take the slower path.
"""

import json
from typing import Any

import orjson

_DIGITS_ALIKE = bytes(ord("0") if chr(byte).isdecimal() else byte for byte in range(128)) + bytes(
    range(128, 256)
)
_LONG_NUMBER = b"0" * 19


def dumps(value: Any) -> str:
    """Compact JSON. NaN and infinities become null. Keys keep their order."""
    try:
        return orjson.dumps(value).decode()
    except TypeError:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)


def canonical(value: Any) -> bytes:
    """The same bytes for equal values, whatever the order of their keys."""
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except TypeError:
        return json.dumps(
            value, ensure_ascii=False, separators=(",", ":"), sort_keys=True, default=str
        ).encode("utf-8", "surrogatepass")


def loads(text: str | bytes) -> Any:
    if has_long_number(text.encode() if isinstance(text, str) else text):
        return json.loads(text)
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return json.loads(text)


def has_long_number(text: bytes) -> bool:
    """Whether there may be an integer that orjson would round."""
    # Twenty times as fast as a regular expression, and every body and document comes by here.
    return _LONG_NUMBER in text.translate(_DIGITS_ALIKE)
