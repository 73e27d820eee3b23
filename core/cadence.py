"""When a monitor runs: a named cadence, or five fields of cron; always in UTC."""

import re
from collections.abc import Set
from dataclasses import dataclass
from typing import Annotated, Final

from pydantic import AfterValidator, StringConstraints

from core.text import PlainText

PREFIX: Final = "cron:"
NAMED: Final = {
    "every_6h": "0 */6 * * *",
    "daily": "0 0 * * *",
    "weekly": "0 0 * * 1",
}

_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_WEEKDAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
_DAYS_OF_MONTH = dict(enumerate((31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31), start=1))
_PART = re.compile(r"(?:(?P<all>\*)|(?P<first>\w+)(?:-(?P<last>\w+))?)(?:/(?P<step>\w+))?", re.A)
_NUMBER = re.compile(r"\d{1,2}", re.A)


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    first: int
    last: int
    names: tuple[str, ...] = ()
    names_from: int = 0

    def values(self, text: str) -> Set[int]:
        """Raises ValueError."""
        found: set[int] = set()
        for part in text.split(","):
            found.update(self._range(part))
        return found

    def _range(self, text: str) -> range:
        part = _PART.fullmatch(text)
        if part is None:
            raise ValueError(
                f"{self.name} {text!r} is none of *, a value, a range a-b, or one of these with "
                "/step, several of them parted by commas"
            )
        if part["all"]:
            first, last = self.first, self.last
        else:
            first = self._value(part["first"])
            last = first if part["last"] is None else self._value(part["last"])
            if last < first:
                raise ValueError(f"{self.name} {text!r} ends before it starts")
        step = 1 if part["step"] is None else self._step(part["step"])
        if part["step"] is not None and part["last"] is None:
            last = self.last
        return range(first, last + 1, step)

    def _value(self, text: str) -> int:
        if text.lower() in self.names:
            return self.names.index(text.lower()) + self.names_from
        if not _NUMBER.fullmatch(text) or not self.first <= int(text) <= self.last:
            raise ValueError(f"{self.name} {text!r} is not in {self.first}-{self.last}")
        return int(text)

    def _step(self, text: str) -> int:
        if not _NUMBER.fullmatch(text) or not 1 <= int(text) <= self.last:
            raise ValueError(f"{self.name} has step {text!r}, which is not in 1-{self.last}")
        return int(text)


_FIELDS: Final = (
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day", 1, 31),
    _Field("month", 1, 12, tuple(_MONTHS), 1),
    _Field("weekday", 0, 7, tuple(_WEEKDAYS)),
)


def cron_of(cadence: str) -> str:
    """The five fields in the form Temporal takes. Raises ValueError.

    Stricter than Temporal, which also takes time zones, seconds, years and steps
    that lead nowhere; what passes here, it takes.
    """
    if cadence in NAMED:
        return NAMED[cadence]
    if not cadence.startswith(PREFIX):
        raise ValueError(
            f"must be one of {', '.join(NAMED)}, or {PREFIX}<minute hour day month weekday>"
        )
    fields = cadence.removeprefix(PREFIX).split()
    if len(fields) != len(_FIELDS):
        raise ValueError(
            f"must have five fields after {PREFIX!r} (minute hour day month weekday), "
            f"not {len(fields)}"
        )
    _, _, days, months, _ = (
        field.values(text) for field, text in zip(_FIELDS, fields, strict=True)
    )
    if min(days) > max(_DAYS_OF_MONTH[month] for month in months):
        raise ValueError("names a day that none of its months has")
    return " ".join(fields)


def _check(cadence: str) -> str:
    cron_of(cadence)
    return cadence


Cadence = Annotated[PlainText, StringConstraints(max_length=255), AfterValidator(_check)]
