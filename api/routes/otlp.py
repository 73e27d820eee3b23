"""OpenTelemetry's own way in: OTLP over HTTP."""

import asyncio
from typing import Any

from fastapi import APIRouter, Request, Response

from api import errors
from api.dependencies import CurrentStack, WriteProject
from api.otlp import traces, wire
from api.otlp.traces import Received
from api.otlp.wire import Encoding

router = APIRouter(tags=["Traces"])

_BINARY = {"schema": {"type": "string", "format": "binary"}}
_ANSWER: dict[str, Any] = {
    "description": "An ExportTraceServiceResponse in the encoding of the request.",
    "content": {Encoding.JSON: {"schema": {"type": "object"}}, Encoding.PROTOBUF: _BINARY},
}
_STATUS = {
    "type": "object",
    "description": "A google.rpc.Status.",
    "required": ["code", "message"],
    "properties": {"code": {"type": "integer"}, "message": {"type": "string"}},
}
_REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {
        "description": said["description"],
        "content": {Encoding.JSON: {"schema": _STATUS}, Encoding.PROTOBUF: _BINARY},
    }
    for status, said in errors.responses(400, 413, 415).items()
}
_BODY = {
    Encoding.JSON: {
        "schema": {
            "type": "object",
            "properties": {
                "resourceSpans": {"type": ["array", "null"], "items": {"type": "object"}}
            },
        }
    },
    Encoding.PROTOBUF: _BINARY,
}


@router.post(
    wire.PATH,
    summary="Store OpenTelemetry spans",
    description="OTLP over HTTP: an ExportTraceServiceRequest as protobuf or JSON, with "
    "`Content-Encoding: gzip` or none. The GenAI conventions and OpenInference become kinds, "
    "models, usage, inputs and outputs. Spans of a trace may come in any number of requests and "
    "in any order. Spans that cannot be kept are counted in the partial success.",
    responses=_REFUSALS | {200: _ANSWER},
    response_class=Response,
    openapi_extra={"requestBody": {"required": True, "content": _BODY}},
)
async def export_spans(request: Request, project: WriteProject, stack: CurrentStack) -> Response:
    encoding = wire.encoding_of(request.headers.get("content-type", ""))
    received = await asyncio.to_thread(
        _read,
        await request.body(),
        encoding,
        request.headers.get("content-encoding", ""),
        stack.settings.max_body_bytes,
    )
    await asyncio.gather(*(stack.ingest.submit((project, trace)) for trace in received.traces))
    stack.counters.traces_stored += len(received.traces)
    answer = wire.success(received.refused.total(), received.message, encoding)
    return Response(answer, media_type=encoding)


def _read(body: bytes, encoding: Encoding, content_encoding: str, limit: int) -> Received:
    content = wire.inflated(body, content_encoding, limit)
    return traces.read(wire.decode(content, encoding))
