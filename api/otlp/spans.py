"""Converts an OpenTelemetry span to a span body."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from opentelemetry.proto.trace.v1.trace_pb2 import Span, SpanFlags, Status
from pydantic import JsonValue, ValidationError

from api.otlp import readings
from api.otlp.genai import TOOL_DEFINITIONS
from api.otlp.ids import span_uuid, trace_uuid
from api.otlp.records import Event, Fields, SpanRecord
from api.otlp.values import Attributes, arguments, given, structured
from api.otlp.vocabulary import Events, Reading, SpanSource
from core.content import REDACTED, has_content
from core.ids import SpanKind, SpanStatus
from core.safe_text import sanitize
from core.trace_input import SpanBody
from core.trace_rollup import PARENT_IS_REMOTE
from core.usage_rollup import SUMS

SCOPE: Final = "otel.scope"
"""Metadata key of a span's instrumentation scope."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MAX_NAME = 512
_MAX_LABEL = 255
_MAX_FIRST_TOKEN_SECONDS = timedelta(days=30).total_seconds()
_STATUSES = {
    Status.STATUS_CODE_UNSET: SpanStatus.UNSET,
    Status.STATUS_CODE_OK: SpanStatus.OK,
    Status.STATUS_CODE_ERROR: SpanStatus.ERROR,
}
_KINDS = {number: name.removeprefix("SPAN_KIND_") for name, number in Span.SpanKind.items()}
_USUAL_KINDS = ("UNSPECIFIED", "INTERNAL")
_REMOTE = SpanFlags.SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE_MASK | (
    SpanFlags.SPAN_FLAGS_CONTEXT_IS_REMOTE_MASK
)
_FIRST_TOKEN = "First Token Stream Event"


class Refused(ValueError):
    """The reason why a span is rejected."""


@dataclass(frozen=True, slots=True)
class Labels:
    """The fields of a span about its trace."""

    session_id: str | None = None
    user_id: str | None = None
    environment: str | None = None
    release: str | None = None
    tags: list[str] = field(default_factory=list)
    metadata: Fields = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ReadSpan:
    trace_id: UUID
    body: SpanBody
    labels: Labels


def read(span: SpanRecord, scope: str, about: Mapping[str, JsonValue]) -> ReadSpan:
    """`about`: metadata about the origin of the span. Raises Refused."""
    trace_id, span_id = trace_uuid(span.trace_id), span_uuid(span.span_id)
    if trace_id is None or span_id is None:
        raise Refused("no valid trace id and span id (hexadecimal in JSON)")
    if not span.start_ns:
        raise Refused("no start time")
    attributes, events = Attributes(span.attributes), Events(span.events)
    reading = readings.read(SpanSource(scope, span.name, attributes, events))
    labels = _labels(attributes, reading)
    fields = _fields(span, reading) | _outcome(span, reading, attributes, events)
    fields["completion_start_time"] = _first_token(span, reading, events)
    fields["span_id"] = span_id
    fields["metadata"] = (
        dict(about)
        | attributes.left
        | labels.metadata
        | _tools(attributes, reading)
        | (given(model=reading.model) if reading.kind in SUMS else {})
        | _metadata(span, events.left)
    )
    try:
        body = SpanBody.model_validate({k: v for k, v in fields.items() if v is not None})
    except ValidationError:
        raise Refused("content nested too deeply") from None
    return ReadSpan(trace_id, body, labels)


def _tools(attributes: Attributes, reading: Reading) -> Fields:
    """The tools on offer, under the keys that transcripts read."""
    defined = structured(attributes.peek(TOOL_DEFINITIONS))
    return given(tools=reading.tools) | ({} if defined is None else {TOOL_DEFINITIONS: defined})


def _fields(span: SpanRecord, reading: Reading) -> dict[str, Any]:
    kind = reading.kind or SpanKind.OTHER
    return {
        "parent_span_id": _parent(span),
        "name": clipped(reading.name or span.name, _MAX_NAME) or "span",
        "kind": kind,
        # On other spans the attribute names the model of calls inside them, which have their own
        # spans.
        "model": None if kind in SUMS else clipped(reading.model, _MAX_LABEL),
        "input": _content(
            arguments(reading.input) if kind is SpanKind.TOOL else reading.input, kind
        ),
        "output": _content(reading.output, kind),
        "token_usage": _object(reading.token_usage),
        "model_parameters": _object(reading.model_parameters),
        "cost": _cost(reading.cost),
        "started_at": moment(span.start_ns),
        "ended_at": moment(span.end_ns),
    }


def _content(value: JsonValue, kind: SpanKind) -> JsonValue:
    """The content; None if it was omitted.

    An empty value of a tool stays, because a tool may have no arguments and no result.
    """
    if kind is SpanKind.TOOL:
        return None if isinstance(value, str) and value in REDACTED else value
    return value if has_content(value) else None


def _object(value: JsonValue) -> JsonValue:
    return value if isinstance(value, dict) and value else None


def _cost(value: JsonValue) -> JsonValue:
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, int | float | dict) and value is not True else None


def _parent(span: SpanRecord) -> UUID | None:
    if not any(span.parent_span_id):
        return None
    parent = span_uuid(span.parent_span_id)
    if parent is None:
        raise Refused("no valid parent span id")
    return parent


def clipped(value: JsonValue, length: int) -> str | None:
    return sanitize(value)[:length] if isinstance(value, str) else None


def moment(nanoseconds: int) -> str | None:
    """None without a time."""
    if not nanoseconds:
        return None
    return (_EPOCH + timedelta(microseconds=nanoseconds // 1000)).isoformat()


def _outcome(
    span: SpanRecord, reading: Reading, attributes: Attributes, events: Events
) -> dict[str, Any]:
    status = _STATUSES.get(span.status_code, SpanStatus.UNSET)  # type: ignore[call-overload] # a number that may be no status
    kind = attributes.peek("error.type")
    if status is SpanStatus.UNSET and (kind is not None or reading.is_error):
        # By convention the error type is set exactly if the operation failed.
        status = SpanStatus.ERROR
    if status is not SpanStatus.ERROR:
        return {"status": status}
    words = span.status_message or reading.error or _exception(events)
    return {"status": status, "error": words or (None if kind is None else str(kind))}


def _exception(events: Events) -> str | None:
    event = events.peek("exception")
    if event is None:
        return None
    parts = (event.attributes.get(f"exception.{part}") for part in ("type", "message"))
    return ": ".join(str(part) for part in parts if part) or None


def _first_token(span: SpanRecord, reading: Reading, events: Events) -> str | None:
    seconds = reading.first_token_seconds
    if isinstance(seconds, int | float) and 0 <= seconds < _MAX_FIRST_TOKEN_SECONDS:
        return moment(span.start_ns + int(seconds * 1e9))
    if reading.completion_start_time and _is_time(reading.completion_start_time):
        return reading.completion_start_time
    event = events.peek(_FIRST_TOKEN)
    return None if event is None else moment(event.time_ns)


def _is_time(text: str) -> bool:
    try:
        return datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False


def _labels(attributes: Attributes, reading: Reading) -> Labels:
    return Labels(
        session_id=_label(reading.session_id) or _taken_label(attributes, "session.id"),
        user_id=_label(reading.user_id) or _taken_label(attributes, "user.id", "enduser.id"),
        environment=_label(reading.environment),
        release=_label(reading.release),
        tags=[tag for one in reading.tags if (tag := _label(one))],
        metadata=reading.metadata,
    )


def _taken_label(attributes: Attributes, *names: str) -> str | None:
    """Takes a label. A label that is too long stays in the metadata."""
    label = _label(attributes.peek(*names))
    if label is not None:
        attributes.take(*names)
    return label


def _label(value: JsonValue) -> str | None:
    if isinstance(value, list | dict | bool) or value is None:
        return None
    text = sanitize(str(value))
    return text if 0 < len(text) <= _MAX_LABEL else None


def _metadata(span: SpanRecord, events: list[Event]) -> Fields:
    """Metadata from OpenTelemetry's fields that have no counterpart in Assay."""
    kind = _KINDS.get(span.kind, "UNSPECIFIED")  # type: ignore[call-overload] # a number that may be no kind
    metadata: Fields = {}
    if kind not in _USUAL_KINDS:
        metadata["otel.kind"] = kind
    if span.trace_state:
        metadata["otel.trace_state"] = span.trace_state
    if any(span.parent_span_id) and span.flags & _REMOTE == _REMOTE:
        metadata[PARENT_IS_REMOTE] = True
    if events:
        metadata["otel.events"] = [
            {"name": event.name, "time": moment(event.time_ns), "attributes": event.attributes}
            for event in events
        ]
    if span.links:
        metadata["otel.links"] = [*span.links]
    return metadata
