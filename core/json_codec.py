"""JSON text for the store and the wire.

orjson is several times faster than the standard library, but rounds or refuses integers beyond 64
bits. Clients do send such integers; documents with them take the slower path.
"""

import json
from math import isfinite, isinf
from typing import Any

import orjson

_DIGITS_ALIKE = bytes(ord("0") if chr(byte).isdecimal() else byte for byte in range(128)) + bytes(
    range(128, 256)
)
_LONG_NUMBER = b"0" * 19
_PART_BYTES = 256 * 1024


def dumps(value: Any) -> str:
    """Compact JSON. NaN and infinities become null. Keys keep their order."""
    try:
        return orjson.dumps(value).decode()
    except TypeError:
        return _dumps_slowly(value)


def _dumps_slowly(value: Any) -> str:
    """Writes values that orjson refuses, such as integers beyond 64 bits."""
    return json.dumps(
        _finite(value), ensure_ascii=False, separators=(",", ":"), default=str, allow_nan=False
    )


def _finite(value: Any) -> Any:
    """The value with null in place of NaN and infinities, which JSON cannot express."""
    if isinstance(value, float):
        return value if isfinite(value) else None
    if isinstance(value, dict):
        return {name: _finite(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value


def size(value: Any) -> int:
    """Bytes of the value as JSON in UTF-8."""
    try:
        return len(orjson.dumps(value))
    except TypeError:
        return len(dumps(value).encode("utf-8", "surrogatepass"))


def canonical(value: Any) -> bytes:
    """The same bytes for equal values, whatever the order of their keys."""
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except TypeError:
        return json.dumps(
            _finite(value), ensure_ascii=False, separators=(",", ":"), sort_keys=True, default=str
        ).encode("utf-8", "surrogatepass")


def loads(text: str | bytes) -> Any:
    """Parses JSON text. NaN and infinities, which are not JSON, become null."""
    if has_long_number(text.encode() if isinstance(text, str) else text):
        return json.loads(text, parse_constant=_null)
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return json.loads(text, parse_constant=_null)


def _null(_name: str) -> None:
    return None


def read_json(body: bytes) -> Any:
    """Parses a request body: strict JSON in UTF-8.

    Raises json.JSONDecodeError, also for NaN, infinities, numbers out of range and too deep
    nesting.
    """
    if has_long_number(body):
        return _read_slowly(body)
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        # orjson also refuses lone surrogates, which are valid JSON.
        return _read_slowly(body)


def _read_slowly(body: bytes) -> Any:
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise json.JSONDecodeError("it is not UTF-8", "", error.start) from None
    try:
        return json.loads(text, parse_constant=_refuse_constant, parse_float=_finite_number)
    except json.JSONDecodeError:
        raise
    except RecursionError:
        raise json.JSONDecodeError("it is nested too deeply", "", 0) from None
    except ValueError:
        raise json.JSONDecodeError("it has a number out of range", "", 0) from None


def _refuse_constant(name: str) -> float:
    raise json.JSONDecodeError(f"it has {name}", "", 0)


def _finite_number(text: str) -> float:
    number = float(text)
    if isinf(number):
        raise ValueError
    return number


def has_long_number(text: bytes) -> bool:
    """Whether the text may hold an integer that orjson would round."""
    # Called for every body and document; translate is 20 times as fast as a regular expression.
    if len(text) <= _PART_BYTES:
        return _LONG_NUMBER in text.translate(_DIGITS_ALIKE)
    # Part by part, because a single call would keep all other threads waiting.
    overlap = len(_LONG_NUMBER) - 1
    return any(
        _LONG_NUMBER in text[start : start + _PART_BYTES + overlap].translate(_DIGITS_ALIKE)
        for start in range(0, len(text), _PART_BYTES)
    )
