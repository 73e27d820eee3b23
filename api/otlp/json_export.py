"""Reads OTLP's JSON form. Unreadable parts of a request do not affect the others."""

from collections.abc import Mapping
from itertools import islice
from typing import Any

from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from api.otlp import limits
from api.otlp.json_fields import (
    any_value,
    attributes,
    enumerated,
    field,
    id_bytes,
    integer,
    objects,
    text,
)
from api.otlp.log_events import event_of
from api.otlp.records import Event, Export, Fields, Group, LogRecord, Refusal, SpanRecord

_KINDS: Mapping[str, int] = dict(Span.SpanKind.items())
_STATUSES: Mapping[str, int] = dict(Status.StatusCode.items())


def read_spans(request: Mapping[str, Any]) -> Export:
    export = Export()
    for resource_spans in objects(request, "resourceSpans"):
        resource = _resource(resource_spans)
        for scope_spans in objects(resource_spans, "scopeSpans"):
            group = Group(resource, _scope(scope_spans))
            found = field(scope_spans, "spans")
            for part in found if isinstance(found, list) else ():
                if isinstance(part, dict) and not export.room:
                    export.refuse(1)
                elif isinstance(part, dict):
                    group.spans.append(_span(part))
                    names = ("attributes", "events", "links")
                    export.keep(*(_length(part, name) for name in names))
                elif part is not None:
                    export.refused.append(Refusal("", "no JSON object"))
            export.groups.append(group)
    return export


def read_logs(request: Mapping[str, Any]) -> Export:
    export = Export()
    for resource_logs in objects(request, "resourceLogs"):
        resource = _resource(resource_logs)
        for scope_logs in objects(resource_logs, "scopeLogs"):
            group = Group(resource, _scope(scope_logs))
            records = objects(scope_logs, "logRecords")
            group.logs = [_log(one) for one in islice(records, export.room)]
            export.kept += len(group.logs)
            export.groups.append(group)
            export.refuse(sum(1 for _ in records))
    return export


def _length(holder: Mapping[str, Any], name: str) -> int:
    found = field(holder, name)
    return len(found) if isinstance(found, list) else 0


def _resource(holder: Mapping[str, Any]) -> Fields:
    found = field(holder, "resource")
    return attributes(found) if isinstance(found, dict) else {}


def _scope(holder: Mapping[str, Any]) -> str:
    found = field(holder, "scope")
    return text(found.get("name")) if isinstance(found, dict) else ""


def _span(span: Mapping[str, Any]) -> SpanRecord:
    found = field(span, "status")
    status = found if isinstance(found, dict) else {}
    return SpanRecord(
        trace_id=id_bytes(field(span, "traceId")),
        span_id=id_bytes(field(span, "spanId")),
        parent_span_id=id_bytes(field(span, "parentSpanId")),
        name=text(field(span, "name")),
        start_ns=integer(field(span, "startTimeUnixNano")),
        end_ns=integer(field(span, "endTimeUnixNano")),
        kind=enumerated(field(span, "kind"), _KINDS, "SPAN_KIND_"),
        flags=integer(field(span, "flags")),
        trace_state=text(field(span, "traceState")),
        status_code=enumerated(field(status, "code"), _STATUSES, "STATUS_CODE_"),
        status_message=text(field(status, "message")),
        attributes=attributes(span),
        events=[
            Event(text(field(one, "name")), integer(field(one, "timeUnixNano")), attributes(one))
            for one in islice(objects(span, "events"), limits.MAX_EVENTS)
        ],
        links=[
            {
                "trace_id": id_bytes(field(one, "traceId")).hex(),
                "span_id": id_bytes(field(one, "spanId")).hex(),
                "attributes": attributes(one),
            }
            for one in islice(objects(span, "links"), limits.MAX_LINKS)
        ],
    )


def _log(record: Mapping[str, Any]) -> LogRecord:
    time_ns = integer(field(record, "timeUnixNano")) or integer(
        field(record, "observedTimeUnixNano")
    )
    name = text(field(record, "eventName"))
    body = any_value(field(record, "body"))
    return LogRecord(
        id_bytes(field(record, "traceId")),
        id_bytes(field(record, "spanId")),
        event_of(name, time_ns, attributes(record), body),
    )
