"""Moments as clients write them, and ranges of moments."""

import re
from datetime import UTC, datetime
from typing import Annotated, ClassVar, Final, Self

from pydantic import BaseModel, BeforeValidator, model_validator

# In a query string an unescaped "+" arrives as a space: 10:00:00+02:00 as 10:00:00 02:00.
_SPACE_FOR_PLUS: Final = re.compile(r"(?<=\d) (?=\d{2}:?\d{2}$)")


def _parse(value: object) -> object:
    if value is None:
        return None
    try:
        parsed = datetime.fromisoformat(_with_plus(value)) if isinstance(value, str) else value
    except ValueError:
        parsed = None
    if not isinstance(parsed, datetime):
        raise ValueError("must be an ISO 8601 date or time, as a string")
    try:
        return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)
    except OverflowError:
        raise ValueError("must lie between the years 1 and 9999 in UTC") from None


def _with_plus(text: str) -> str:
    """Restores the "+" of an offset only: the space in "2026-09-21 10:00" stays."""
    date, separator, rest = text.partition("T") if "T" in text else text.partition(" ")
    return date + separator + _SPACE_FOR_PLUS.sub("+", rest)


Moment = Annotated[datetime, BeforeValidator(_parse)]
"""An ISO 8601 date or time; UTC if it names no offset; converted to UTC."""


def check_range(**bounds: datetime | None) -> None:
    """`check_range(date_from=…, date_to=…)` raises ValueError unless the first bound is earlier.

    A bound that is None leaves its side open.
    """
    (lower, start), (upper, end) = bounds.items()
    if start is not None and end is not None and start >= end:
        raise ValueError(f"{lower} must be before {upper}")


class MomentRange(BaseModel):
    """A model with two fields that bound a range: the first is included, the second is not."""

    range_fields: ClassVar[tuple[str, str]]

    @model_validator(mode="after")
    def _range_in_order(self) -> Self:
        check_range(**{name: getattr(self, name) for name in self.range_fields})
        return self
