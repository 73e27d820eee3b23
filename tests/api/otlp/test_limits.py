"""Limits of one export: spans, parts of spans, compression."""

import gzip
import json
import time
from typing import Any

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from api.otlp import limits, protobuf_export, wire
from core.errors import BadRequest, TooLarge
from tests.api.conftest import Service
from tests.api.otlp.otel import ROOT, exported, request, span
from tests.timing import MAX_GROWTH

SPANS = ExportTraceServiceRequest.DESCRIPTOR
LOGS = ExportLogsServiceRequest.DESCRIPTOR
EMPTY = {"events": b"\x5a\x00", "links": b"\x6a\x00", "attributes": b"\x4a\x00"}


def framed(number: int, content: bytes) -> bytes:
    length, left = b"", len(content)
    while left > 0x7F:
        length += bytes([left & 0x7F | 0x80])
        left >>= 7
    return bytes([number << 3 | 2]) + length + bytes([left]) + content


def bomb(part: bytes, size: int) -> bytes:
    """An export of one valid span with very many empty parts."""
    whole = span(ROOT).SerializeToString() + part * (size // len(part))
    return framed(1, framed(2, framed(2, whole)))


@pytest.mark.parametrize("part", EMPTY.values(), ids=EMPTY)
@pytest.mark.parametrize("compressed", [False, True])
async def test_a_great_many_empty_parts_are_refused_before_they_are_made(
    shared_service: Service, part: bytes, compressed: bool
) -> None:
    headers = {"Content-Type": "application/x-protobuf"}
    if compressed:
        headers["Content-Encoding"] = "gzip"

    async def refusal_seconds(size: int) -> float:
        body = gzip.compress(bomb(part, size)) if compressed else bomb(part, size)
        worked = []
        for _ in range(2):
            began = time.process_time()
            answer = await shared_service.client.post("/v1/traces", content=body, headers=headers)
            worked.append(time.process_time() - began)
            assert answer.status_code == 413
        return min(worked)

    assert await refusal_seconds(9_500_000) <= MAX_GROWTH * await refusal_seconds(9_500_000 // 4)


@pytest.mark.parametrize("part", EMPTY.values(), ids=EMPTY)
def test_what_passes_the_check_stays_small(part: bytes) -> None:
    body = bomb(part, limits._MIN_CHECKED_BYTES - 200)
    limits.check_protobuf(body, SPANS)
    began = time.process_time()
    export = protobuf_export.read_spans(body)
    assert time.process_time() - began < 1.0
    [group] = export.groups
    found = group.spans[0]
    assert len(found.events) <= 128
    assert len(found.links) <= 128
    if part != EMPTY["attributes"]:
        assert "Dropped beyond the limits of a span" in limits.dropped(export.dropped)


@pytest.mark.slow
def test_a_large_export_of_ordinary_spans_passes() -> None:
    spans = [
        span(n, ROOT, {"input.value": "x" * 800} | {f"k{i}": i for i in range(20)})
        for n in range(1, 5000)
    ]
    body = request(*spans).SerializeToString()
    assert len(body) > 4_000_000
    limits.check_protobuf(body, SPANS)


@pytest.mark.parametrize("json_form", [False, True])
async def test_parts_beyond_the_limits_of_a_span_are_dropped_and_counted(
    sqlite_service: Service, json_form: bool
) -> None:
    one = span(ROOT)
    for n in range(200):
        one.events.add(name=f"e{n}", time_unix_nano=1)
        one.links.add(trace_id=bytes(16), span_id=bytes(8))
    body = bytes(request(one).SerializeToString())
    encoding = wire.Encoding.PROTOBUF
    if json_form:
        encoding = wire.Encoding.JSON
        body = json.dumps(as_json(one)).encode()
    answer = await sqlite_service.client.post(
        "/v1/traces", content=body, headers={"Content-Type": encoding}
    )
    assert answer.status_code == 200
    assert b"72 events, 72 links" in answer.content
    listed = (await sqlite_service.client.get("/traces")).json()["items"]
    [held] = (await sqlite_service.client.get(f"/traces/{listed[0]['trace_id']}")).json()["spans"]
    assert len(held["metadata"]["otel.events"]) == 128


def as_json(one: Any) -> dict[str, Any]:
    found = {
        "traceId": one.trace_id.hex(),
        "spanId": one.span_id.hex(),
        "name": one.name,
        "startTimeUnixNano": str(one.start_time_unix_nano),
        "events": [{"name": event.name, "timeUnixNano": "1"} for event in one.events],
        "links": [{"traceId": "00" * 16, "spanId": "00" * 8} for _ in one.links],
    }
    return {"resourceSpans": [{"scopeSpans": [{"spans": [found]}]}]}


async def test_spans_beyond_ten_thousand_are_rejected_and_counted(sqlite_service: Service) -> None:
    spans = [span(n, ROOT) for n in range(2, limits.MAX_SPANS + 5)]
    body = request(span(ROOT), *spans).SerializeToString()
    headers = {"Content-Type": "application/x-protobuf"}
    answer = await sqlite_service.client.post("/v1/traces", content=body, headers=headers)
    assert b"4 with no room left in this request" in answer.content
    assert (await exported(sqlite_service, span(ROOT)))["span_count"] == limits.MAX_SPANS


@pytest.mark.parametrize("ratio", [90, 120])
def test_what_grows_more_than_a_hundredfold_is_refused(ratio: int) -> None:
    text = (b"ab" * 50_000 + bytes(range(256)) * 40) * 30
    packed = gzip.compress(text)
    assert len(text) > 100 * len(packed)
    if ratio > limits.MAX_COMPRESSION_RATIO:
        with pytest.raises(TooLarge):
            wire.inflated(packed, "gzip", 20_000_000)
    else:
        limits.check_ratio(len(text) // ratio, len(text))


INSIDE = {
    "attributes of an event": (SPANS, (1, 2, 2, 11), b"\x1a\x00"),
    "attributes of a link": (SPANS, (1, 2, 2, 13), b"\x22\x00"),
    "values of a list": (SPANS, (1, 2, 2, 9, 2, 5), b"\x0a\x00"),
    "values of an object": (SPANS, (1, 2, 2, 9, 2, 6), b"\x0a\x00"),
    "attributes of a resource": (SPANS, (1, 1), b"\x0a\x00"),
    "log records": (LOGS, (1, 2), b"\x12\x00"),
    "attributes of a log record": (LOGS, (1, 2, 2), b"\x32\x00"),
    "values in the body of a log record": (LOGS, (1, 2, 2, 5, 5), b"\x0a\x00"),
    "scalars": (SPANS, (1, 2, 2), b"\x30\x01"),
}


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "path", "part"), INSIDE.values(), ids=INSIDE)
def test_many_small_parts_are_refused_wherever_they_are(
    kind: Any, path: tuple[int, ...], part: bytes
) -> None:
    content = part * 2_000_000
    for number in reversed(path):
        content = framed(number, content)
    reader = wire.read_logs if kind is LOGS else wire.read_spans
    with pytest.raises(TooLarge):
        reader(content, wire.Encoding.PROTOBUF)
    # A message that cannot be read does not hide what follows it.
    with pytest.raises(TooLarge):
        reader(framed(1, b"\x07") + content, wire.Encoding.PROTOBUF)


@pytest.mark.parametrize("byte", [b"\xff", b"\x80"])
def test_a_number_without_an_end_takes_no_time(byte: bytes) -> None:
    began = time.process_time()
    with pytest.raises(BadRequest):
        wire.read_spans(byte * 5_000_000, wire.Encoding.PROTOBUF)
    assert time.process_time() - began < 1.0


def test_a_body_of_very_many_gzip_members_is_refused() -> None:
    member = gzip.compress(b"")
    with pytest.raises(BadRequest, match="gzip members"):
        wire.inflated(member * 10_000, "gzip", 1_000_000)
    assert wire.inflated(gzip.compress(b"a") * 100, "gzip", 1_000) == b"a" * 100


def test_a_damaged_export_of_very_many_parts_is_not_repaired() -> None:
    whole = span(ROOT).SerializeToString() + framed(5, b"\xff")

    def read(parts: int) -> None:
        damaged = framed(1, framed(2, framed(2, whole + b"\x5a\x00" * parts)))
        wire.read_spans(damaged, wire.Encoding.PROTOBUF)

    read(1000)
    with pytest.raises(BadRequest):
        read(limits.MAX_MENDED_FIELDS)


@pytest.mark.parametrize("json_form", [False, True])
async def test_log_records_beyond_ten_thousand_are_rejected_and_counted(
    shared_service: Service, json_form: bool
) -> None:
    count = limits.MAX_SPANS + 4
    if json_form:
        kind = wire.Encoding.JSON
        scope: dict[str, Any] = {"logRecords": [{}] * count}
        body = json.dumps({"resourceLogs": [{"scopeLogs": [scope]}]}).encode()
    else:
        kind = wire.Encoding.PROTOBUF
        body = framed(1, framed(2, b"\x12\x00" * count))
    answer = await shared_service.client.post(
        "/v1/logs", content=body, headers={"Content-Type": kind}
    )
    assert answer.status_code == 200
    assert b"4 with no room left in this request" in answer.content
