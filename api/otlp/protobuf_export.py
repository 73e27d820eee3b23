"""Reads OTLP's protobuf form."""

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.logs.v1 import logs_pb2
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from api.otlp import limits
from api.otlp.log_events import event_of
from api.otlp.protobuf_mending import mended
from api.otlp.records import Event, Export, Group, LogRecord, Refusal, SpanRecord
from api.otlp.values import attributes, plain


def read_spans(body: bytes) -> Export:
    """Raises DecodeError if no part of the body can be read."""
    request = ExportTraceServiceRequest()
    refused = _parse(request, body)
    export = Export(refused=refused)
    for resource_spans in request.resource_spans:
        resource = attributes(resource_spans.resource.attributes[: limits.MAX_ATTRIBUTES])
        for scope_spans in resource_spans.scope_spans:
            group = Group(resource, scope_spans.scope.name)
            for span in scope_spans.spans[: export.room]:
                group.spans.append(_span(span))
                export.keep(len(span.attributes), len(span.events), len(span.links))
            export.groups.append(group)
            export.refuse(len(scope_spans.spans) - len(group.spans))
    return export


def read_logs(body: bytes) -> Export:
    """Raises DecodeError if no part of the body can be read."""
    request = ExportLogsServiceRequest()
    refused = _parse(request, body)
    export = Export(refused=refused)
    for resource_logs in request.resource_logs:
        resource = attributes(resource_logs.resource.attributes)
        for scope_logs in resource_logs.scope_logs:
            group = Group(resource, scope_logs.scope.name)
            group.logs = [_log(record) for record in scope_logs.log_records[: export.room]]
            export.kept += len(group.logs)
            export.groups.append(group)
            export.refuse(len(scope_logs.log_records) - len(group.logs))
    return export


def _parse(
    request: ExportTraceServiceRequest | ExportLogsServiceRequest, body: bytes
) -> list[Refusal]:
    try:
        request.ParseFromString(body)
    except DecodeError:
        if not limits.may_mend(body, request.DESCRIPTOR):
            raise
        refused: list[Refusal] = []
        request.Clear()
        request.ParseFromString(mended(request.DESCRIPTOR, body, refused))
        if not request.ListFields():
            raise
        return refused
    return []


def _span(span: Span) -> SpanRecord:
    return SpanRecord(
        trace_id=span.trace_id,
        span_id=span.span_id,
        parent_span_id=span.parent_span_id,
        name=span.name,
        start_ns=span.start_time_unix_nano,
        end_ns=span.end_time_unix_nano,
        kind=span.kind,
        flags=span.flags,
        trace_state=span.trace_state,
        status_code=span.status.code,
        status_message=span.status.message,
        attributes=attributes(span.attributes[: limits.MAX_ATTRIBUTES]),
        events=[
            Event(event.name, event.time_unix_nano, attributes(event.attributes))
            for event in span.events[: limits.MAX_EVENTS]
        ],
        links=[
            {
                "trace_id": link.trace_id.hex(),
                "span_id": link.span_id.hex(),
                "attributes": attributes(link.attributes),
            }
            for link in span.links[: limits.MAX_LINKS]
        ],
    )


def _log(record: logs_pb2.LogRecord) -> LogRecord:
    return LogRecord(
        record.trace_id,
        record.span_id,
        event_of(
            record.event_name,
            record.time_unix_nano or record.observed_time_unix_nano,
            attributes(record.attributes),
            plain(record.body),
        ),
    )
