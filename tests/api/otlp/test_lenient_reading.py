"""An invalid span, text, byte or attribute does not affect the others."""

import json
from typing import Any
from uuid import UUID

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from api.otlp.protobuf_mending import varint
from tests.api.conftest import Service
from tests.api.otlp.otel import BEGAN, ROOT, SECOND, TRACE, export, read_trace, request, span

GOOD = {
    "traceId": TRACE.hex(),
    "spanId": ROOT.hex(),
    "name": "good",
    "startTimeUnixNano": str(BEGAN),
    "endTimeUnixNano": str(BEGAN + SECOND),
}


def of_spans(*spans: Any) -> dict[str, Any]:
    return {"resourceSpans": [{"scopeSpans": [{"spans": list(spans)}]}]}


async def post(service: Service, body: Any) -> httpx.Response:
    return await service.client.post(
        "/v1/traces", content=json.dumps(body), headers={"content-type": "application/json"}
    )


@pytest.mark.parametrize(
    "bad",
    [
        7,
        "text",
        [],
        {},
        GOOD | {"spanId": "AAAAAAAAAAI=", "name": "the bad one"},
        GOOD | {"traceId": TRACE.hex()[:-2], "name": "the bad one"},
        GOOD | {"spanId": "0000000000000002", "startTimeUnixNano": "x", "name": "the bad one"},
        GOOD | {"spanId": "0000000000000002", "startTimeUnixNano": -1, "name": "the bad one"},
        GOOD | {"spanId": "0000000000000002", "startTimeUnixNano": "NaN", "name": "the bad one"},
    ],
)
async def test_a_json_span_that_cannot_be_kept_is_refused_alone(
    sqlite_service: Service, bad: Any
) -> None:
    answer = await post(sqlite_service, of_spans(bad, GOOD))
    assert answer.status_code == 200, answer.text
    partial = answer.json()["partialSuccess"]
    assert partial["rejectedSpans"] == "1"
    if isinstance(bad, dict) and "name" in bad:
        assert "the bad one" in partial["errorMessage"]
    assert [one["name"] for one in (await read_trace(sqlite_service))["spans"]] == ["good"]


@pytest.mark.parametrize(
    "fields",
    [
        {"startTimeUnixNano": float(BEGAN), "endTimeUnixNano": f"{BEGAN + SECOND:.4e}"},
        {"kind": "SPAN_KIND_CLIENT", "flags": None, "links": None, "events": [None, 7]},
        {"kind": "client", "status": None},
        {"attributes": {"plain": "object"}},
        {"attributes": [None, 7, {"key": "a"}, {"value": {"stringValue": "b"}}]},
        {"attributes": [{"key": "a", "value": {"arrayValue": None}}]},
        {"attributes": [{"key": "a", "value": {"intValue": "many"}}]},
        {"attributes": [{"key": "a", "value": {"newValue": {"x": 1}}}]},
        {"name": "\ud800"},
        {"name": None},
        {"name": 7},
    ],
)
async def test_oddly_written_json_is_kept(sqlite_service: Service, fields: dict[str, Any]) -> None:
    answer = await post(sqlite_service, of_spans(GOOD | fields))
    assert (answer.status_code, answer.json()) == (200, {})
    assert len((await read_trace(sqlite_service))["spans"]) == 1


async def test_json_in_snake_case_is_read(sqlite_service: Service) -> None:
    made = {
        "trace_id": TRACE.hex().upper(),
        "span_id": ROOT.hex(),
        "start_time_unix_nano": BEGAN,
        "end_time_unix_nano": BEGAN + SECOND,
        "status": {"code": "ERROR", "message": "boom"},
        "attributes": [
            {"key": "input.value", "value": {"string_value": "asked"}},
            {"key": "n", "value": {"int_value": "9007199254740993"}},
            {"key": "m", "value": {"kvlist_value": {"values": [{"key": "k"}]}}},
        ],
    }
    body = {"resource_spans": [{"scope_spans": [{"spans": [made]}]}]}
    assert (await post(sqlite_service, body)).json() == {}
    [found] = (await read_trace(sqlite_service))["spans"]
    assert (found["status"], found["error"], found["input"]) == ("ERROR", "boom", "asked")
    assert found["metadata"] == {"n": 9007199254740993, "m": {"k": None}}


async def test_a_byte_that_is_no_utf8_costs_one_character_of_json(sqlite_service: Service) -> None:
    content = json.dumps(of_spans(GOOD | {"name": "cafX"})).encode().replace(b"cafX", b"caf\xe9")
    answer = await export(sqlite_service, content, content_type="application/json")
    assert answer.status_code == 200, answer.text
    assert (await read_trace(sqlite_service))["name"] == "caf\ufffd"


def with_bytes(spans: ExportTraceServiceRequest, old: bytes, new: bytes) -> bytes:
    assert len(old) == len(new)
    return spans.SerializeToString().replace(old, new)


OTHER = bytes(range(16))


async def test_a_text_of_protobuf_that_is_no_utf8_is_mended(sqlite_service: Service) -> None:
    spans = request(span(), span(trace_id=OTHER, attributes={"input.value": "INVALID"}))
    answer = await export(sqlite_service, with_bytes(spans, b"INVALID", b"caf\xe9\xff.!"))
    assert (answer.status_code, answer.content) == (200, b"")
    assert len((await read_trace(sqlite_service))["spans"]) == 1
    held = await read_trace(sqlite_service, OTHER)
    assert held["input"] == "caf\ufffd\ufffd.!"


async def test_a_span_of_protobuf_that_cannot_be_read_is_refused_alone(
    sqlite_service: Service,
) -> None:
    # The length of the attributes' last text runs beyond the span.
    spans = request(span(name="fine"), span(2, name="broken", attributes={"a": "LASTTEXT"}))
    whole = spans.SerializeToString()
    at = whole.index(b"LASTTEXT") - 1
    answer = await export(sqlite_service, whole[:at] + b"\x7f" + whole[at + 1 :])
    assert answer.status_code == 200
    held = await read_trace(sqlite_service)
    assert "fine" in [one["name"] for one in held["spans"]]


async def test_what_stands_before_the_end_of_a_cut_body_is_kept(sqlite_service: Service) -> None:
    whole = request(span(name="fine"), span(2, ROOT, name="cut")).SerializeToString()
    # Enclosing lengths are corrected, so that the cut is inside the last span.
    answer = await export(sqlite_service, whole[:-4])
    assert answer.status_code in (200, 400)
    if answer.status_code == 200:
        partial = ExportTraceServiceResponse.FromString(answer.content).partial_success
        assert partial.rejected_spans >= 1


def framed(tag: int, payload: bytes) -> bytes:
    return bytes([tag]) + varint(len(payload)) + payload


def nested_attribute(levels: int) -> bytes:
    """`attributes` of a span: maps within maps, deeper than the protobuf library would build."""
    value = framed(0x0A, b"x")
    for _ in range(levels):
        value = framed(0x32, framed(0x0A, framed(0x0A, b"k") + framed(0x12, value)))
    return framed(0x4A, framed(0x0A, b"state") + framed(0x12, value))


@pytest.mark.parametrize("levels", [20, 40, 90])
@pytest.mark.parametrize("kind", ["json", "protobuf"])
async def test_a_deeply_nested_attribute_is_cut(
    sqlite_service: Service, levels: int, kind: str
) -> None:
    if kind == "protobuf":
        spans = [
            span().SerializeToString(),
            span(trace_id=OTHER, name="deep").SerializeToString() + nested_attribute(levels),
        ]
        scope = b"".join(framed(0x12, one) for one in spans)
        answer = await export(sqlite_service, framed(0x0A, framed(0x12, scope)))
    else:
        nested: Any = {"stringValue": "x"}
        for _ in range(levels):
            nested = {"kvlistValue": {"values": [{"key": "k", "value": nested}]}}
        deep = GOOD | {
            "traceId": OTHER.hex(),
            "attributes": [{"key": "state", "value": nested}],
        }
        answer = await post(sqlite_service, of_spans(GOOD, deep))
    assert answer.status_code == 200, answer.text
    await read_trace(sqlite_service)
    state = (await read_trace(sqlite_service, OTHER))["spans"][0]["metadata"]["state"]
    for _ in range(min(levels, 20)):
        state = state["k"]
    assert state is not None


async def test_the_message_of_a_partial_success_names_the_spans(sqlite_service: Service) -> None:
    spans = request(span(), *(span(span_id=b"short", name=f"bad {n}") for n in range(9)))
    answer = await export(sqlite_service, spans.SerializeToString())
    partial = ExportTraceServiceResponse.FromString(answer.content).partial_success
    assert partial.rejected_spans == 9
    assert "'bad 0'" in partial.error_message
    assert len(partial.error_message) < 500
    assert UUID(bytes=TRACE)
