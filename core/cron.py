"""The cadence of a monitor: a name such as `daily`, or five cron fields, in UTC."""

import re
from collections.abc import Set
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
from typing import Annotated, Final

from pydantic import AfterValidator, StringConstraints

from core.safe_text import PlainText

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
class _CronField:
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
    _CronField("minute", 0, 59),
    _CronField("hour", 0, 23),
    _CronField("day", 1, 31),
    _CronField("month", 1, 12, tuple(_MONTHS), 1),
    _CronField("weekday", 0, 7, tuple(_WEEKDAYS)),
)


def cron_of(cadence: str) -> str:
    """The five fields in the form that Temporal accepts.

    Raises ValueError.

    Stricter than Temporal, which also accepts time zones, seconds, years and steps without effect.
    Temporal accepts everything that this function returns.
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
    _, _, days, months, weekdays = (
        field.values(text) for field, text in zip(_FIELDS, fields, strict=True)
    )
    if min(days) > max(_DAYS_OF_MONTH[month] for month in months):
        raise ValueError("names a day that none of its months has")
    return " ".join([*fields[:-1], _without_seven(fields[-1], weekdays)])


def _without_seven(text: str, weekdays: Set[int]) -> str:
    """The field with Sunday as 0, because Temporal drops the Sunday of `1-7`."""
    if max(weekdays) < 7:
        return text
    days = sorted({day % 7 for day in weekdays})
    return "*" if len(days) == 7 else ",".join(map(str, days))


def period_of(cadence: str) -> timedelta:
    """The shortest time between two runs.

    A time above one day is rounded down to one day, unless only weekdays are chosen.
    """
    minutes, hours, days, months, weekdays = (
        sorted(field.values(text))
        for field, text in zip(_FIELDS, cron_of(cadence).split(), strict=True)
    )
    if len(minutes) > 1:
        return timedelta(minutes=_shortest_gap(minutes, 60))
    if len(hours) > 1 or len(days) < 31 or len(months) < 12:
        return timedelta(hours=_shortest_gap(hours, 24))
    return timedelta(days=_shortest_gap(sorted({day % 7 for day in weekdays}), 7))


def _shortest_gap(values: list[int], cycle: int) -> int:
    return min(after - before for before, after in pairwise([*values, values[0] + cycle]))


def _check(cadence: str) -> str:
    cron_of(cadence)
    return cadence


Cadence = Annotated[PlainText, StringConstraints(max_length=255), AfterValidator(_check)]
