"""OTLP over HTTP: protobuf or JSON, gzip or not, and answers in the form of the question."""

import base64
import zlib
from collections.abc import Iterator
from enum import StrEnum
from typing import Any

from google.protobuf import json_format
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from api.requests import read_json
from core.errors import BadRequest, TooLarge, UnsupportedMedia

PATH = "/v1/traces"

_GZIP = 16 + zlib.MAX_WBITS
_CHUNK = 256 * 1024


class Encoding(StrEnum):
    PROTOBUF = "application/x-protobuf"
    JSON = "application/json"


def encoding_of(content_type: str) -> Encoding:
    """Raises UnsupportedMedia."""
    try:
        return Encoding(content_type.partition(";")[0].strip().lower())
    except ValueError:
        raise UnsupportedMedia(
            f"Send Content-Type {Encoding.PROTOBUF} or {Encoding.JSON}."
        ) from None


def inflated(body: bytes, content_encoding: str, limit: int) -> bytes:
    """The body without its compression. Stops, and raises TooLarge, once it exceeds the limit."""
    match content_encoding.strip().lower():
        case "" | "identity":
            return body
        case "gzip":
            return _gunzipped(body, limit)
    raise UnsupportedMedia("Send Content-Encoding gzip, or none.")


def _gunzipped(body: bytes, limit: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    try:
        for part in _inflate(body):
            size += len(part)
            if size > limit:
                raise TooLarge(f"The body is larger than {limit} bytes once decompressed.")
            parts.append(part)
    except zlib.error:
        raise BadRequest("The body is not valid gzip.") from None
    return b"".join(parts)


def _inflate(left: bytes) -> Iterator[bytes]:
    """A file of gzip may have several members, one after the other."""
    while left:
        member = zlib.decompressobj(_GZIP)
        while not member.eof:
            part = member.decompress(left, _CHUNK)
            left = member.unconsumed_tail
            if not part and not left and not member.eof:
                raise zlib.error
            yield part
        left = member.unused_data


def decode(body: bytes, encoding: Encoding) -> ExportTraceServiceRequest:
    """Raises BadRequest."""
    request = ExportTraceServiceRequest()
    try:
        if encoding is Encoding.PROTOBUF:
            request.ParseFromString(body)
        else:
            json_format.ParseDict(_with_base64_ids(read_json(body)), request, True)
    except (DecodeError, json_format.ParseError, ValueError, TypeError, AttributeError):
        # What was sent stays out of the answer: it may be private.
        raise BadRequest(f"The body is no ExportTraceServiceRequest as {encoding}.") from None
    return request


def _with_base64_ids(request: Any) -> Any:
    """OTLP's JSON has ids in hexadecimal, protobuf's own mapping reads base64."""
    for span in _spans(request):
        for holder in (span, *_objects(span, "links")):
            for name in ("traceId", "spanId", "parentSpanId", "trace_id", "span_id"):
                if isinstance(holder.get(name), str):
                    holder[name] = _hex_to_base64(holder[name])
    return request


def _spans(request: Any) -> Iterator[dict[str, Any]]:
    if not isinstance(request, dict):
        raise TypeError
    for resource in _objects(request, "resourceSpans", "resource_spans"):
        for scope in _objects(resource, "scopeSpans", "scope_spans"):
            yield from _objects(scope, "spans")


def _objects(holder: dict[str, Any], *names: str) -> Iterator[dict[str, Any]]:
    for name in names:
        for one in holder.get(name) or ():
            if not isinstance(one, dict):
                raise TypeError
            yield one


def _hex_to_base64(text: str) -> str:
    try:
        id = bytes.fromhex(text)
    except ValueError:
        # Of no valid length, so that this span alone is refused.
        id = b"?"
    return base64.b64encode(id).decode()


def success(rejected: int, message: str, encoding: Encoding) -> bytes:
    """An ExportTraceServiceResponse; without a partial success where nothing was rejected."""
    response = ExportTraceServiceResponse()
    if rejected or message:
        response.partial_success.rejected_spans = rejected
        response.partial_success.error_message = message
    if encoding is Encoding.JSON:
        return json_format.MessageToJson(response, indent=None).encode()
    return response.SerializeToString()


def status_message(code: int, message: str) -> bytes:
    """A google.rpc.Status: an int32 in field 1, a string in field 2."""
    text = message.encode()
    return b"\x08" + _varint(code) + b"\x12" + _varint(len(text)) + text


def _varint(number: int) -> bytes:
    groups = bytearray()
    while number > 0x7F:
        groups.append(number & 0x7F | 0x80)
        number >>= 7
    groups.append(number)
    return bytes(groups)
