"""One OpenTelemetry span as a span body."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from opentelemetry.proto.trace.v1.trace_pb2 import Span, SpanFlags, Status
from pydantic import JsonValue, ValidationError

from api.otlp import genai, openinference
from api.otlp.genai import Event
from api.otlp.ids import span_uuid, trace_uuid
from api.otlp.values import Attributes, attributes, given
from core.heads import PARENT_IS_REMOTE
from core.ids import SpanKind, SpanStatus
from core.ingestion import SpanBody
from core.text import mend

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MAX_NAME = 512
_MAX_LABEL = 255
_STATUSES = {
    Status.STATUS_CODE_UNSET: SpanStatus.UNSET,
    Status.STATUS_CODE_OK: SpanStatus.OK,
    Status.STATUS_CODE_ERROR: SpanStatus.ERROR,
}
_KIND_PREFIX = "SPAN_KIND_"
_REMOTE = SpanFlags.SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE_MASK | (
    SpanFlags.SPAN_FLAGS_CONTEXT_IS_REMOTE_MASK
)
_FIRST_TOKEN = "First Token Stream Event"


class Refused(ValueError):
    """Why a span cannot be kept."""


@dataclass(frozen=True, slots=True)
class Labels:
    """What a span says of the trace it belongs to."""

    session_id: str | None = None
    user_id: str | None = None
    tags: list[str] = field(default_factory=list)
    metadata: dict[str, JsonValue] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Read:
    trace_id: UUID
    body: SpanBody
    labels: Labels


def read(span: Span, about: Mapping[str, JsonValue]) -> Read:
    """`about`: what its metadata says of where it comes from. Raises Refused."""
    trace_id, span_id = trace_uuid(span.trace_id), span_uuid(span.span_id)
    if trace_id is None or span_id is None:
        raise Refused("no valid trace id and span id")
    if not span.start_time_unix_nano:
        raise Refused("no start time")
    found = Attributes(attributes(span.attributes))
    events = [
        Event(event.name, _moment(event.time_unix_nano), attributes(event.attributes))
        for event in span.events
    ]
    said, events = genai.read(found, events)
    said |= openinference.read(found)
    labels = _labels(found, said)
    fields = _fields(span, said) | _outcome(span, found, events)
    fields["completion_start_time"] = _first_token(span, said, events)
    fields["span_id"] = span_id
    fields["metadata"] = (
        dict(about) | found.left | labels.metadata | _tools(said) | _kept(span, events)
    )
    try:
        body = SpanBody.model_validate({k: v for k, v in fields.items() if v is not None})
    except ValidationError:
        raise Refused("content nested too deeply") from None
    return Read(trace_id, body, labels)


def _fields(span: Span, said: dict[str, JsonValue]) -> dict[str, Any]:
    name = said.get("name")
    cost = said.get("cost")
    return {
        "parent_span_id": _parent(span),
        "name": clipped(name if isinstance(name, str) else span.name, _MAX_NAME) or "span",
        "kind": said.get("kind", SpanKind.OTHER),
        "model": clipped(said.get("model"), _MAX_LABEL),
        "input": said.get("input"),
        "output": said.get("output"),
        "token_usage": said.get("token_usage"),
        "model_parameters": said.get("model_parameters"),
        "cost": cost if isinstance(cost, int | float | dict) else None,
        "started_at": _moment(span.start_time_unix_nano),
        "ended_at": _moment(span.end_time_unix_nano),
    }


def _parent(span: Span) -> UUID | None:
    if not any(span.parent_span_id):
        return None
    parent = span_uuid(span.parent_span_id)
    if parent is None:
        raise Refused("no valid parent span id")
    return parent


def clipped(value: JsonValue, length: int) -> str | None:
    return mend(value)[:length] if isinstance(value, str) else None


def _moment(nanoseconds: int) -> str | None:
    if not nanoseconds:
        return None
    return (_EPOCH + timedelta(microseconds=nanoseconds // 1000)).isoformat()


def _outcome(span: Span, found: Attributes, events: list[Event]) -> dict[str, Any]:
    status = _STATUSES.get(span.status.code, SpanStatus.UNSET)
    kind = found.peek("error.type")
    if status is SpanStatus.UNSET and kind is not None:
        # The conventions set it if, and only if, the operation ended in an error.
        status = SpanStatus.ERROR
    if status is not SpanStatus.ERROR:
        return {"status": status}
    words = span.status.message or _exception(events) or (None if kind is None else str(kind))
    return {"status": status, "error": words}


def _exception(events: list[Event]) -> str | None:
    for event in reversed(events):
        if event.name == "exception":
            parts = (event.attributes.get(f"exception.{part}") for part in ("type", "message"))
            return ": ".join(str(part) for part in parts if part) or None
    return None


def _first_token(span: Span, said: dict[str, JsonValue], events: list[Event]) -> str | None:
    seconds = said.get("first_token_seconds")
    if isinstance(seconds, int | float) and 0 <= seconds < timedelta(days=30).total_seconds():
        return _moment(span.start_time_unix_nano + int(seconds * 1e9))
    return next((event.time for event in events if event.name == _FIRST_TOKEN), None)


def _labels(found: Attributes, said: dict[str, JsonValue]) -> Labels:
    session = _label(said.get("session_id"))
    tags, extra = said.get("tags"), said.get("extra")
    return Labels(
        session_id=session or _taken_label(found, "session.id"),
        user_id=_taken_label(found, "user.id", "enduser.id"),
        tags=[tag for one in tags if (tag := _label(one))] if isinstance(tags, list) else [],
        metadata=extra if isinstance(extra, dict) else {},
    )


def _taken_label(found: Attributes, *names: str) -> str | None:
    """One that is too long to be a label stays with the metadata."""
    label = _label(found.peek(*names))
    if label is not None:
        found.take(*names)
    return label


def _label(value: JsonValue) -> str | None:
    if isinstance(value, list | dict | bool) or value is None:
        return None
    text = mend(str(value))
    return text if 0 < len(text) <= _MAX_LABEL else None


def _tools(said: dict[str, JsonValue]) -> dict[str, JsonValue]:
    return given(tools=said.get("tools"))


def _kept(span: Span, events: list[Event]) -> dict[str, JsonValue]:
    """What OpenTelemetry knows of a span and Assay has no field for."""
    kind = Span.SpanKind.Name(span.kind) if span.kind in Span.SpanKind.values() else ""
    kept: dict[str, JsonValue] = {}
    if kind not in ("", "SPAN_KIND_UNSPECIFIED", "SPAN_KIND_INTERNAL"):
        kept["otel.kind"] = kind.removeprefix(_KIND_PREFIX)
    if span.trace_state:
        kept["otel.trace_state"] = span.trace_state
    if any(span.parent_span_id) and span.flags & _REMOTE == _REMOTE:
        kept[PARENT_IS_REMOTE] = True
    if events:
        kept["otel.events"] = [
            {"name": name, "time": time, "attributes": said} for name, time, said in events
        ]
    if span.links:
        kept["otel.links"] = [
            {
                "trace_id": link.trace_id.hex(),
                "span_id": link.span_id.hex(),
                "attributes": attributes(link.attributes),
            }
            for link in span.links
        ]
    return kept
