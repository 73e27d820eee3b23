"""The value of a score: text in requests and in the store, and a number for arithmetic."""

import re
from math import isfinite
from typing import Final, NamedTuple

from core.errors import Invalid
from core.ids import ScoreType

MAX_DECIMALS: Final = 4

DEFAULT_THRESHOLD: Final = 0.5
"""The threshold of metrics that are not in the catalog."""

# Tolerance for the rounding error of a sum of floats.
_FLOAT_NOISE: Final = 1e-9

_PLAIN_DECIMAL: Final = re.compile(r"0(\.[0-9]{1,4})?|1(\.0{1,4})?", re.ASCII)


class ScoreValue(NamedTuple):
    """`number` is None unless the score is NUMERIC."""

    text: str
    number: float | None


def parse(data_type: ScoreType, value: str | float | bool) -> ScoreValue:
    """Converts a client's value to its stored form. Raises Invalid."""
    match data_type:
        case ScoreType.NUMERIC:
            return _numeric(value)
        case ScoreType.BOOLEAN:
            return _boolean(value)
        case ScoreType.CATEGORICAL:
            if not isinstance(value, str) or not value:
                raise Invalid("A CATEGORICAL value is a text that is not empty.")
            return ScoreValue(value, None)


def text_of(number: float) -> str:
    """The number rounded to four decimals, without trailing zeros."""
    return f"{number:.{MAX_DECIMALS}f}".rstrip("0").rstrip(".")


def _numeric(value: str | float | bool) -> ScoreValue:
    if isinstance(value, str) and _PLAIN_DECIMAL.fullmatch(value):
        return ScoreValue(value, float(value))
    number = _float(value)
    if number is None or not -_FLOAT_NOISE <= number <= 1 + _FLOAT_NOISE:
        raise Invalid("A NUMERIC value is a number from 0 to 1, such as 0.85.")
    rounded = abs(round(number, MAX_DECIMALS))
    return ScoreValue(text_of(rounded), rounded)


def _float(value: str | float | bool) -> float | None:
    """None for booleans, for text that is not a number, and for NaN and infinities."""
    if isinstance(value, bool):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if isfinite(number) else None


def _boolean(value: str | float | bool) -> ScoreValue:
    text = str(value).lower() if isinstance(value, str | bool) else ""
    if text not in ("true", "false"):
        raise Invalid("A BOOLEAN value is true or false.")
    return ScoreValue(text, None)
