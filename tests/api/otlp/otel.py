"""Export requests for tests, as OpenTelemetry messages."""

import gzip
from typing import Any
from uuid import UUID

import httpx
from google.protobuf import json_format
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span

from tests.api.conftest import Service
from tests.factories import START

PROTOBUF = "application/x-protobuf"
TRACE = bytes.fromhex("0af7651916cd43dd8448eb211c80319c")
ROOT = bytes.fromhex("b7ad6b7169203331")
BEGAN = int(START.timestamp()) * 10**9
SECOND = 10**9


def any_value(value: Any) -> AnyValue:
    if isinstance(value, dict):
        return AnyValue(kvlist_value=KeyValueList(values=pairs(value)))
    if isinstance(value, list):
        return AnyValue(array_value=ArrayValue(values=[any_value(one) for one in value]))
    kinds = {bool: "bool_value", int: "int_value", float: "double_value", bytes: "bytes_value"}
    return AnyValue(**{kinds.get(type(value), "string_value"): value})


def pairs(values: dict[str, Any]) -> list[KeyValue]:
    return [KeyValue(key=key, value=any_value(value)) for key, value in values.items()]


def event(name: str, at: float = 0, **attributes: Any) -> Span.Event:
    dotted = {key.replace("__", "."): value for key, value in attributes.items()}
    return Span.Event(name=name, time_unix_nano=BEGAN + int(at * SECOND), attributes=pairs(dotted))


def span(
    span_id: int | bytes = ROOT,
    parent: int | bytes = b"",
    attributes: dict[str, Any] | None = None,
    *,
    starts: float = 0,
    ends: float | None = None,
    **fields: Any,
) -> Span:
    """Seconds count from the factories' START; a span takes one second by default."""
    ends = starts + 1 if ends is None else ends
    made: dict[str, Any] = {
        "trace_id": TRACE,
        "span_id": span_id if isinstance(span_id, bytes) else span_id.to_bytes(8),
        "parent_span_id": parent if isinstance(parent, bytes) else parent.to_bytes(8),
        "name": "step",
        "start_time_unix_nano": BEGAN + int(starts * SECOND),
        "end_time_unix_nano": BEGAN + int(ends * SECOND),
        "attributes": pairs(attributes or {}),
    }
    return Span(**(made | fields))


def request(*spans: Span, resource: dict[str, Any] | None = None) -> ExportTraceServiceRequest:
    held = ResourceSpans(scope_spans=[ScopeSpans(spans=spans)])
    held.resource.attributes.extend(pairs(resource or {}))
    return ExportTraceServiceRequest(resource_spans=[held])


def as_json(message: ExportTraceServiceRequest) -> dict[str, Any]:
    """OTLP's JSON form, with hexadecimal ids."""
    made: dict[str, Any] = json_format.MessageToDict(message)
    for resource, source in zip(made["resourceSpans"], message.resource_spans, strict=True):
        listed = resource["scopeSpans"][0]["spans"]
        for one, original in zip(listed, source.scope_spans[0].spans, strict=True):
            one["traceId"], one["spanId"] = original.trace_id.hex(), original.span_id.hex()
            if original.parent_span_id:
                one["parentSpanId"] = original.parent_span_id.hex()
    return made


async def export(service: Service, content: bytes, **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await service.client.post(
        "/v1/traces", content=content, headers={"content-type": PROTOBUF} | named
    )


async def exported(service: Service, *spans: Span, **more: Any) -> dict[str, Any]:
    """Sends the spans, and reads the trace."""
    content = gzip.compress(request(*spans, **more).SerializeToString())
    answer = await export(service, content, content_encoding="gzip")
    assert answer.status_code == 200, answer.text
    assert answer.content == b""
    return await read_trace(service, spans[0].trace_id)


async def read_trace(service: Service, trace_id: bytes = TRACE) -> dict[str, Any]:
    answer = await service.client.get(f"/traces/{UUID(bytes=trace_id)}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def read(service: Service, attributes: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """The stored span."""
    held = await exported(service, span(attributes=attributes, **fields))
    [found] = held["spans"]
    return {**found, "trace": held}
