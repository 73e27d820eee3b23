"""OTLP over HTTP: protobuf or JSON, with or without gzip; responses have the form of the
request.
"""

import json
import zlib
from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import Any, NamedTuple

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from api.otlp import json_export, json_fields, limits, protobuf_export
from api.otlp.protobuf_mending import varint
from api.otlp.records import Export
from core.errors import BadRequest, TooLarge, UnsupportedMedia
from core.json_codec import read_json

PATHS = ("/v1/traces", "/v1/logs", "/v1/metrics")

_GZIP = 16 + zlib.MAX_WBITS
_CHUNK = 256 * 1024


class Signal(NamedTuple):
    """One of OTLP's three kinds of export. `rejected` counts items in its partial success."""

    response: Callable[[], Any]
    rejected: str


TRACES = Signal(ExportTraceServiceResponse, "rejected_spans")
LOGS = Signal(ExportLogsServiceResponse, "rejected_log_records")
METRICS = Signal(ExportMetricsServiceResponse, "rejected_data_points")


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
    """Decompresses the body. Raises TooLarge as soon as the limit is exceeded."""
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
            limits.check_ratio(len(body), size)
            if size > limit:
                raise TooLarge(f"The body is larger than {limit} bytes once decompressed.")
            parts.append(part)
    except zlib.error:
        raise BadRequest("The body is not valid gzip.") from None
    return b"".join(parts)


def _inflate(left: bytes) -> Iterator[bytes]:
    """Decompresses gzip, which may have several consecutive members. Raises BadRequest."""
    members = 0
    while left:
        members += 1
        if members > limits.MAX_GZIP_MEMBERS:
            raise BadRequest(f"The body has more than {limits.MAX_GZIP_MEMBERS} gzip members.")
        member = zlib.decompressobj(_GZIP)
        while not member.eof:
            part = member.decompress(left, _CHUNK)
            left = member.unconsumed_tail
            if not part and not left and not member.eof:
                raise zlib.error
            yield part
        left = member.unused_data


def read_spans(body: bytes, encoding: Encoding) -> Export:
    """Raises BadRequest if the body has no readable span."""
    try:
        if encoding is Encoding.PROTOBUF:
            limits.check_protobuf(body, ExportTraceServiceRequest.DESCRIPTOR)
            return protobuf_export.read_spans(body)
        return _checked(json_export.read_spans(_json_object(body, "resourceSpans")))
    except (DecodeError, ValueError):
        # The response does not quote the request, which may be private.
        raise BadRequest(f"The body is not an ExportTraceServiceRequest as {encoding}.") from None


def read_logs(body: bytes, encoding: Encoding) -> Export:
    """Raises BadRequest if the body has no readable log record."""
    try:
        if encoding is Encoding.PROTOBUF:
            limits.check_protobuf(body, ExportLogsServiceRequest.DESCRIPTOR)
            return protobuf_export.read_logs(body)
        return json_export.read_logs(_json_object(body, "resourceLogs"))
    except (DecodeError, ValueError):
        raise BadRequest(f"The body is not an ExportLogsServiceRequest as {encoding}.") from None


def _checked(export: Export) -> Export:
    if export.refused and not any(group.spans for group in export.groups):
        raise ValueError
    return export


def _json_object(body: bytes, holder: str) -> dict[str, Any]:
    """Raises ValueError if the body has no list of objects under that name."""
    limits.check_json(body)
    parsed = _lenient_json(body)
    if not isinstance(parsed, dict):
        raise ValueError
    resources = json_fields.field(parsed, holder)
    if resources is not None and not isinstance(resources, list):
        raise ValueError
    if any(not isinstance(one, dict | None) for one in resources or ()):
        raise ValueError
    return parsed


def _lenient_json(body: bytes) -> Any:
    """Parses JSON leniently: an invalid UTF-8 byte becomes a replacement character, and NaN is a
    number.
    """
    try:
        return read_json(body)
    except json.JSONDecodeError:
        try:
            return json.loads(body.decode("utf-8", "replace"))
        except RecursionError:
            raise ValueError from None


def success(signal: Signal, rejected: int, message: str, encoding: Encoding) -> bytes:
    """The response to an export, with a partial success if anything was rejected."""
    if encoding is Encoding.JSON:
        if not rejected and not message:
            return b"{}"
        partial = {_camel_case(signal.rejected): str(rejected)} if rejected else {}
        if message:
            partial["errorMessage"] = message
        return json.dumps({"partialSuccess": partial}).encode()
    response = signal.response()
    if rejected or message:
        setattr(response.partial_success, signal.rejected, rejected)
        response.partial_success.error_message = message
    return bytes(response.SerializeToString())


def _camel_case(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(word.title() for word in others)


def status_message(code: int, message: str) -> bytes:
    """A google.rpc.Status: an int32 in field 1, a string in field 2."""
    text = message.encode()
    return b"\x08" + varint(code) + b"\x12" + varint(len(text)) + text
