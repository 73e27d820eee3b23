"""Ingestion by OTLP over HTTP."""

import asyncio
from collections import Counter
from typing import Any

from fastapi import APIRouter, Request, Response

from api import errors
from api.dependencies import AppState, CurrentStack, WriteProject
from api.otlp import limits, logs, traces, wire
from api.otlp.records import Refusal
from api.otlp.wire import Encoding
from core.trace_input import SpanDerivedTrace

router = APIRouter(tags=["Traces"])

_BINARY = {"schema": {"type": "string", "format": "binary"}}
_ANSWER: dict[str, Any] = {
    "description": "The response message in the encoding of the request.",
    "content": {Encoding.JSON: {"schema": {"type": "object"}}, Encoding.PROTOBUF: _BINARY},
}
_STATUS = {
    "type": "object",
    "description": "A google.rpc.Status.",
    "required": ["code", "message"],
    "properties": {"code": {"type": "integer"}, "message": {"type": "string"}},
}
_RESPONSES: dict[int | str, dict[str, Any]] = {
    status: {
        "description": said["description"],
        "content": {Encoding.JSON: {"schema": _STATUS}, Encoding.PROTOBUF: _BINARY},
    }
    for status, said in errors.responses(400, 413, 415).items()
} | {200: _ANSWER}


def _body(holder: str) -> dict[str, Any]:
    """Documents a request body with a list of resources under this name."""
    resources = {"type": ["array", "null"], "items": {"type": "object"}}
    content = {
        Encoding.JSON: {"schema": {"type": "object", "properties": {holder: resources}}},
        Encoding.PROTOBUF: _BINARY,
    }
    return {"requestBody": {"required": True, "content": content}}


@router.post(
    "/v1/traces",
    summary="Store OpenTelemetry spans",
    description=(
        "OTLP over HTTP: an ExportTraceServiceRequest as protobuf or JSON, with "
        "`Content-Encoding: gzip` or none. The attributes of common tracers become kinds, models, "
        "usage, inputs and outputs. Spans of a trace may arrive in any number of requests and in "
        "any order. The partial success counts rejected spans. Once per hour it also reports a "
        "tracer that exports no prompts and answers."
    ),
    responses=_RESPONSES,
    response_class=Response,
    openapi_extra=_body("resourceSpans"),
)
async def export_spans(request: Request, project: WriteProject, stack: CurrentStack) -> Response:
    encoding = wire.encoding_of(request.headers.get("content-type", ""))
    body = await request.body()
    async with stack.decoding.slot(project):
        received = await asyncio.to_thread(_read_spans, body, encoding, request, stack)
    refused = await asyncio.gather(
        *(stack.ingest.store(project, trace) for trace in received.traces)
    )
    if sum(refused):
        received.refused.extend([Refusal("", limits.NO_ROOM)] * sum(refused))
    stack.measures.count_traces(received.traces)
    stack.measures.spans_refused.inc(len(received.refused))
    notice = stack.content_notices.notice(project, received.traces)
    message = " ".join(filter(None, (received.message, notice)))
    answer = wire.success(wire.TRACES, len(received.refused), message, encoding)
    return Response(answer, media_type=encoding)


@router.post(
    "/v1/logs",
    summary="Add OpenTelemetry log events to spans",
    description=(
        "OTLP over HTTP: an ExportLogsServiceRequest. Events of the GenAI conventions with a "
        "trace id and a span id become messages of their span, which may arrive before or after "
        "them. Other log records are accepted and dropped."
    ),
    responses=_RESPONSES,
    response_class=Response,
    openapi_extra=_body("resourceLogs"),
)
async def export_logs(request: Request, project: WriteProject, stack: CurrentStack) -> Response:
    encoding = wire.encoding_of(request.headers.get("content-type", ""))
    body = await request.body()
    async with stack.decoding.slot(project):
        found, refused = await asyncio.to_thread(_read_logs, body, encoding, request, stack)
    if found:
        stack.content_notices.saw_logs(project)
    await asyncio.gather(*(stack.ingest.store(project, trace) for trace in found))
    counted = Counter(why for _, why in refused)
    message = ", ".join(f"{count} with {why}" for why, count in sorted(counted.items()))
    message = f"Refused log records: {message}." if message else ""
    return Response(wire.success(wire.LOGS, len(refused), message, encoding), media_type=encoding)


@router.post(
    "/v1/metrics",
    summary="Accept OpenTelemetry metrics",
    description=(
        "OTLP over HTTP. Accepts and drops metrics, so that an exporter that sends all signals to "
        "one endpoint does not fail."
    ),
    responses=_RESPONSES,
    response_class=Response,
    openapi_extra=_body("resourceMetrics"),
)
async def export_metrics(request: Request, _project: WriteProject) -> Response:
    encoding = wire.encoding_of(request.headers.get("content-type", ""))
    return Response(wire.success(wire.METRICS, 0, "", encoding), media_type=encoding)


def _read_spans(
    body: bytes, encoding: Encoding, request: Request, stack: AppState
) -> traces.Received:
    return traces.read(wire.read_spans(_inflated(body, request, stack), encoding))


def _read_logs(
    body: bytes, encoding: Encoding, request: Request, stack: AppState
) -> tuple[list[SpanDerivedTrace], list[Refusal]]:
    """The traces that log records describe, and the refused records."""
    export = wire.read_logs(_inflated(body, request, stack), encoding)
    return logs.read(export), export.refused


def _inflated(body: bytes, request: Request, stack: AppState) -> bytes:
    encoding = request.headers.get("content-encoding", "")
    return wire.inflated(body, encoding, stack.settings.max_body_bytes)
