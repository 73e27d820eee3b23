"""Sources of traces, and OTLP's JSON form, to which all sources are converted.

The server knows the vocabularies of tracers. A source only maps records to spans, and names the
vocabulary of their fields.
"""

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from core import json_codec

Json = dict[str, Any]
Export = Json
"""An OTLP request in JSON, with `resourceSpans` or `resourceLogs`."""

_TRACE_BYTES: Final = 16
_SPAN_BYTES: Final = 8
_STATUSES: Final = {"OK": 1, "ERROR": 2}
_MAX_SECONDS: Final = 1e11
"""A larger number counts milliseconds or smaller units since 1970."""


@dataclass(frozen=True, slots=True)
class Source:
    """`exports` raises ValueError for a record that it cannot read."""

    name: str
    recognizes: Callable[[Json], bool]
    exports: Callable[[Json], Iterator[Export]]


def trace_id(text: str) -> str:
    """A trace id of 128 bits: the given id, or a hash of it."""
    return _hexadecimal(text, _TRACE_BYTES)


def span_id(text: str) -> str:
    return _hexadecimal(text, _SPAN_BYTES)


def _hexadecimal(text: str, length: int) -> str:
    bare = text.removeprefix("0x").replace("-", "").lower()
    if len(bare) == 2 * length and all(c in "0123456789abcdef" for c in bare) and bare.strip("0"):
        return bare
    return hashlib.sha256(text.encode("utf-8", "replace")).digest()[:length].hex()


def nanoseconds(value: Any) -> int:
    """Converts ISO 8601, or seconds, milliseconds or smaller units since 1970; 0 for other
    values.
    """
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            return nanoseconds(float(value)) if _is_number(value) else 0
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return int(moment.timestamp() * 1_000_000) * 1000
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        return 0
    per_unit = 1_000_000_000
    largest = _MAX_SECONDS
    while value > largest and per_unit > 1:
        per_unit //= 1000
        largest *= 1000
    return int(value) * per_unit if isinstance(value, int) else int(value * per_unit)


def _is_number(text: str) -> bool:
    try:
        return float(text) > 0
    except ValueError:
        return False


def value(raw: Any) -> Json:
    """An attribute value in OTLP's form; objects and lists become JSON text."""
    if isinstance(raw, bool):
        return {"boolValue": raw}
    if isinstance(raw, int):
        return {"intValue": str(raw)}
    if isinstance(raw, float):
        return {"doubleValue": raw}
    if isinstance(raw, str):
        return {"stringValue": raw}
    return {"stringValue": json_codec.dumps(raw)}


def span(
    ids: tuple[str, str, str | None], name: str, times: tuple[int, int], attributes: Json
) -> Json:
    """`ids`: the ids of the trace, the span and its parent, in the form of the source."""
    trace, own, parent = ids
    start, end = times
    return {
        "traceId": trace_id(trace),
        "spanId": span_id(own),
        "parentSpanId": span_id(parent) if parent else "",
        "name": name,
        "startTimeUnixNano": str(start),
        "endTimeUnixNano": str(max(start, end)),
        "attributes": [
            {"key": key, "value": value(found)}
            for key, found in attributes.items()
            if found is not None
        ],
    }


def with_status(otlp_span: Json, status: Any, message: Any = None) -> Json:
    """`status`: OK or ERROR, with or without a prefix; other values leave it unset."""
    code = _STATUSES.get(str(status or "").rpartition("_")[2].upper(), 0)
    return otlp_span | {"status": {"code": code, "message": str(message or "")}}


def export(spans: list[Json], **resource: Any) -> Export:
    attributes = [
        {"key": key.replace("__", "."), "value": value(found)}
        for key, found in resource.items()
        if found
    ]
    scope = {"scope": {"name": "assay import"}, "spans": spans}
    return {"resourceSpans": [{"resource": {"attributes": attributes}, "scopeSpans": [scope]}]}


def text(raw: Any) -> str:
    """The value as text: JSON, unless it is already text."""
    return raw if isinstance(raw, str) else json.dumps(raw, ensure_ascii=False, default=str)
