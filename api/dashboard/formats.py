"""Formats of numbers, times and names on pages."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from markupsafe import Markup

from core import clock
from core.truncation import one_line

DASH: Final = "–"
_THIN: Final = "\u202f"
_MINUS: Final = "\u2212"
_MIN_FOR_PERCENT: Final = 20
"""A share of fewer items is written as counts, because a percentage would suggest too much
precision.
"""

# Invisible characters that change the direction of text or control a terminal.
_INVISIBLE: Final = re.compile(
    "[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]"
)


def visible(text: object) -> str:
    """The text with control and bidirectional characters replaced by their code points.

    The text of a trace is untrusted and must not reorder the page.
    """
    return _INVISIBLE.sub(lambda found: f"\u27e8U+{ord(found[0]):04X}\u27e9", str(text))


def whole(number: float | None) -> str:
    return DASH if number is None else f"{number:,.0f}".replace("-", _MINUS)


def score(number: float | None, places: int = 2) -> str:
    return DASH if number is None else f"{number:.{places}f}"


def signed(number: float, places: int = 2) -> str:
    text = f"{number:+.{places}f}"
    return text.replace("-", _MINUS)


def percent(part: float, whole: float, places: int = 0) -> str:
    return DASH if not whole else f"{100 * part / whole:.{places}f}{_THIN}%"


def share(part: int, whole: int) -> str:
    """`68.6 %`, or `5 of 8` for small numbers."""
    if not whole:
        return DASH
    return percent(part, whole, 1) if whole >= _MIN_FOR_PERCENT else f"{part:,} of {whole:,}"


def money(dollars: float | None) -> str:
    if dollars is None:
        return "unknown"
    return f"${dollars:,.4f}" if 0 < dollars < 0.01 else f"${dollars:,.2f}"


def milliseconds(value: float | None) -> str:
    """`0.4 s`, `38.4 s`, `6 min 41 s`, `40 h 41 min`."""
    if value is None:
        return DASH
    seconds = max(0.0, value / 1000)
    if seconds < 0.01:
        return f"{value:.1f} ms" if value > 0 else "0 s"
    if seconds < 1:
        return f"{seconds:.2f} s"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours < 72 else f"{hours // 24} d {hours % 24} h"


def duration(span: timedelta | None) -> str:
    return DASH if span is None else milliseconds(span.total_seconds() * 1000)


def moment(value: datetime | None, form: str = "minute") -> str | Markup:
    """A time element with UTC as text, which a script replaces by the reader's time zone.

    `form` is minute, second, clock (only the time of day) or age (relative below a day).
    """
    if value is None:
        return DASH
    at = value.astimezone(UTC)
    full = f"{at:%d %b %Y %H:%M:%S} UTC"
    shown = ago(at) if form == "age" else _written(at, form)
    return Markup('<time datetime="{}" title="{}" data-form="{}">{}</time>').format(
        at.isoformat(), full, form, shown
    )


def _written(at: datetime, form: str) -> str:
    if form == "clock":
        return f"{at:%H:%M:%S}"
    year = "" if at.year == clock.now().year else f" {at:%Y}"
    return (
        f"{at.day} {at:%b}{year} {at:%H:%M:%S}"
        if form == "second"
        else f"{at.day} {at:%b}{year} {at:%H:%M}"
    )


def ago(at: datetime) -> str:
    """`4 s ago`, `6 h ago`; after a day the date."""
    seconds = (clock.now() - at).total_seconds()
    if seconds < 0 or seconds >= 86_400:
        return _written(at, "minute")
    if seconds < 60:
        return f"{seconds:.0f} s ago"
    return f"{seconds / 60:.0f} min ago" if seconds < 3600 else f"{seconds / 3600:.0f} h ago"


def short_id(value: object) -> str:
    return str(value)[:8]


def plural(count: int, noun: str, many: str | None = None) -> str:
    return f"{count:,} {noun if count == 1 else many or noun + 's'}"


def model_name(model: str) -> str:
    """The name of the model without its provider."""
    return model.rpartition("/")[2]


def first_line(text: object, length: int = 160) -> str:
    """The beginning of a text, on one line."""
    return one_line(visible(text), length)
