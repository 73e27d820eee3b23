"""Reads from headers or words how long a provider asks a caller to wait."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

MAX_WAIT_SECONDS = 7 * 86_400.0
"""A longer wait is a mistake, such as a date that was read as a duration."""

_MAX_READ = 8_000
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_UNIT = (
    r"(?:(?P<ms>ms|msecs?|milliseconds?)|(?P<s>s|secs?|seconds?)|(?P<m>m|mins?|minutes?)"
    r"|(?P<h>h|hrs?|hours?)|(?P<d>d|days?))(?![A-Za-z])"
)
_AMOUNT = r"\d{1,9}(?:\.\d{1,12})?"
_TERM = re.compile(
    rf"({_AMOUNT})\s*{_UNIT}(?:\s*,?\s*(?:and\s+)?(?=\d))?|({_AMOUNT})", re.IGNORECASE
)
# Words that announce a wait, followed by the wait within a few characters.
_ANNOUNCED = re.compile(
    r"(?:(?:try|retry|retrying|again|available|wait|resets?|reset_after|cool(?:ing)?[ _-]?down)\b"
    r"[^.\d\n]{0,40}?\b(?:in|after|for|at least|another)\b[\s\"':=~]{0,6}(?:about |approximately )?"
    r"|\bwait(?:ing)?\s+(?:about |at least |approximately )?"
    r"|retry[-_ ]?after[\"'\s:=]{1,8}|retry[-_]?delay\W{1,8}|retryAfter\W{1,8})"
    rf"(?P<wait>{_AMOUNT}\s*(?:[A-Za-z]+)?(?:[\s,]*(?:and\s+)?{_AMOUNT}\s*[A-Za-z]+)*)"
    r"(?!\d|[-:/]\d)",
    re.IGNORECASE,
)
_MILLISECONDS = re.compile(
    rf"retry[-_ ]?after[-_ ]?(?:ms|millis\w*)[\"'\s:=]{{1,8}}({_AMOUNT})", re.IGNORECASE
)
_LOADING = re.compile(rf"estimated_time\W{{1,6}}({_AMOUNT})", re.IGNORECASE)
_PROTOBUF_SECONDS = re.compile(
    rf"retry_?delay[\"'\s:]*\{{\s*[\"']?seconds[\"']?\s*:\s*[\"']?({_AMOUNT})", re.IGNORECASE
)
_RESET_HEADERS = ("x-ratelimit-reset-after", "x-ratelimit-reset", "ratelimit-reset",
                  "x-rate-limit-reset")  # fmt: skip
_EPOCH_SECONDS = 1_000_000_000.0
_EPOCH_MILLISECONDS = 1_000_000_000_000.0


def asked_wait(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait by `Retry-After` or a similar header: a number, a duration or a date."""
    known = {str(k).lower().removeprefix("llm_provider-"): str(v) for k, v in headers.items()}
    milliseconds = known.get("retry-after-ms", "").strip()
    if _is_number(milliseconds):
        return _bounded(float(milliseconds) / 1000)
    value = known.get("retry-after", "").strip()
    if value:
        wait = duration(value)
        return _until(value) if wait is None else wait
    for name in _RESET_HEADERS:
        if name in known:
            return _reset(known[name].strip())
    return None


def told_wait(body: str) -> float | None:
    """Seconds to wait by prose or JSON, such as `Please try again in 1m3.5s`."""
    text = body[:_MAX_READ]
    milliseconds = _MILLISECONDS.search(text)
    if milliseconds is not None:
        return _bounded(float(milliseconds[1]) / 1000)
    for pattern in (_PROTOBUF_SECONDS, _LOADING):
        found = pattern.search(text)
        if found is not None:
            return _bounded(float(found[1]))
    waits = (duration(found["wait"]) for found in _ANNOUNCED.finditer(text))
    return next((wait for wait in waits if wait is not None), None)


def duration(text: str) -> float | None:
    """Seconds in `20`, `1m30s` or `2 minutes and 5 seconds`; None if the text is not a duration."""
    total: float | None = None
    at = 0
    text = text.strip().rstrip(".,;")
    while at < len(text):
        match = _TERM.match(text, at)
        if match is None:
            break
        unit = next((name for name in _SECONDS if match[name]), None)
        if unit is None:
            # A bare number counts as seconds only if nothing else follows.
            if total is None and at == 0 and _is_end(text[match.end() :]):
                return _bounded(float(match[0]))
            break
        total = (total or 0.0) + float(match[1]) * _SECONDS[unit]
        at = match.end()
    return None if total is None else _bounded(total)


def _is_end(rest: str) -> bool:
    return not rest.strip() or not rest.strip()[0].isalpha()


def _is_number(text: str) -> bool:
    return text.replace(".", "", 1).isdigit() and len(text) <= 18


def _reset(value: str) -> float | None:
    """Seconds until a reset that is given in seconds from now, as a time since the epoch, or as a
    date.
    """
    if _is_number(value):
        number = float(value)
        if number >= _EPOCH_MILLISECONDS:
            number /= 1000
        if number >= _EPOCH_SECONDS:
            return _bounded(max(0.0, number - datetime.now(UTC).timestamp()))
        return _bounded(number)
    wait = duration(value)
    return _until(value) if wait is None else wait


def _until(value: str) -> float | None:
    try:
        until = parsedate_to_datetime(value)
    except ValueError:
        try:
            until = datetime.fromisoformat(value)
        except ValueError:
            return None
    now = datetime.now(UTC)
    return _bounded(max(0.0, (until.replace(tzinfo=until.tzinfo or UTC) - now).total_seconds()))


def _bounded(seconds: float) -> float | None:
    return seconds if seconds <= MAX_WAIT_SECONDS else None
