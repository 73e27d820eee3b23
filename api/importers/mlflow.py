"""MLflow: one trace with its info and spans per record, in version 2 or 3 of the schema."""

import base64
import binascii
from collections.abc import Iterator
from typing import Any

from api.importers.source import (
    Export,
    Json,
    Source,
    export,
    nanoseconds,
    span,
    with_status,
)


def _recognizes(record: Json) -> bool:
    return isinstance(record.get("info"), dict) and isinstance(record.get("data"), dict)


def _exports(record: Json) -> Iterator[Export]:
    info, spans = record["info"], record["data"].get("spans")
    trace = info.get("trace_id") or info.get("request_id")
    if not trace or not isinstance(spans, list):
        raise ValueError("the trace has no id or no spans")
    about = {**_object(info.get("request_metadata")), **_object(info.get("trace_metadata"))}
    names = ("mlflow.trace.session", "mlflow.trace.user")
    labels = {name: about.get(name) for name in names}
    made = [_span(one, str(trace), labels) for one in spans if isinstance(one, dict)]
    if not made:
        raise ValueError("the trace has no spans")
    yield export(made)


def _span(raw: Json, trace: str, labels: Json) -> Json:
    context = _object(raw.get("context"))
    own = raw.get("span_id") or context.get("span_id")
    if not own:
        raise ValueError("a span has no id")
    parent = raw.get("parent_span_id") or raw.get("parent_id")
    start = nanoseconds(raw.get("start_time_unix_nano") or raw.get("start_time"))
    end = nanoseconds(raw.get("end_time_unix_nano") or raw.get("end_time"))
    attributes = _object(raw.get("attributes")) | ({} if parent else labels)
    status = _object(raw.get("status"))
    otlp_span = span(
        (trace, _id(own), _id(parent) if parent else None),
        str(raw.get("name") or "span"),
        (start, end),
        attributes,
    )
    code = status.get("code") or raw.get("status_code")
    return with_status(otlp_span, code, status.get("message") or raw.get("status_message"))


def _id(raw: Any) -> str:
    """Decodes an id, which is base64 since version 3."""
    name = str(raw)
    if name.endswith("="):
        try:
            return base64.b64decode(name, validate=True).hex()
        except (binascii.Error, ValueError):
            return name
    return name


def _object(value: Any) -> Json:
    return value if isinstance(value, dict) else {}


SOURCE = Source("MLflow traces", _recognizes, _exports)
