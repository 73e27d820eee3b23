"""Phoenix: spans as JSON objects, or as rows of its data frame."""

from collections.abc import Iterator
from typing import Any, Final

from api.importers.source import (
    Export,
    Json,
    Source,
    export,
    nanoseconds,
    span,
    with_status,
)

_PREFIX: Final = "attributes."
_WHOLE: Final = frozenset(("metadata", "input.value", "output.value", "tool.parameters"))
"""Attributes whose value becomes a single text, even if it is an object."""


def _recognizes(record: Json) -> bool:
    context = record.get("context")
    nested = isinstance(context, dict) and "span_id" in context and "info" not in record
    return nested or "context.span_id" in record


def _exports(record: Json) -> Iterator[Export]:
    context = record.get("context")
    ids: Json = context if isinstance(context, dict) else {}
    trace = ids.get("trace_id") or record.get("context.trace_id")
    own = ids.get("span_id") or record.get("context.span_id")
    if not trace or not own:
        raise ValueError("the span has no trace id or no span id")
    start = nanoseconds(record.get("start_time"))
    if not start:
        raise ValueError("the span has no start time")
    attributes: Json = {}
    nested = record.get("attributes")
    for name, found in (nested if isinstance(nested, dict) else {}).items():
        _flatten(name, found, attributes)
    for name, found in record.items():
        if name.startswith(_PREFIX):
            _flatten(name.removeprefix(_PREFIX), found, attributes)
    if record.get("span_kind"):
        attributes.setdefault("openinference.span.kind", record["span_kind"])
    parent = record.get("parent_id")
    otlp_span = span(
        (str(trace), str(own), str(parent) if parent else None),
        str(record.get("name") or "span"),
        (start, nanoseconds(record.get("end_time"))),
        attributes,
    )
    yield export([with_status(otlp_span, record.get("status_code"), record.get("status_message"))])


def _flatten(name: str, raw: Any, flat: Json) -> None:
    """Flattens `a: [{b: c}]` to `a.0.b: c`. Lists of plain values stay."""
    if raw is None or (isinstance(raw, float) and raw != raw):
        return
    if name in _WHOLE or not isinstance(raw, dict | list):
        flat[name] = raw
    elif isinstance(raw, dict):
        for key, inner in raw.items():
            _flatten(f"{name}.{key}", inner, flat)
    elif any(isinstance(inner, dict) for inner in raw):
        for place, inner in enumerate(raw):
            _flatten(f"{name}.{place}", inner, flat)
    else:
        flat[name] = raw


SOURCE = Source("Phoenix spans", _recognizes, _exports)
