"""Encodings of requests and responses."""

import gzip
import json
import zlib
from random import Random
from uuid import UUID, uuid4

import httpx
import pytest
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from api.otlp import ids, wire
from core.ids import Scope
from tests.api.conftest import Service
from tests.api.otlp.otel import (
    PROTOBUF,
    ROOT,
    TRACE,
    as_json,
    event,
    export,
    read_trace,
    request,
    span,
)

SPANS = request(
    span(attributes={"n": 7, "f": 0.5, "b": True, "raw": b"\x00\xff", "many": ["a", {"k": 1}]}),
    span(2, ROOT, events=[event("note", word="x")]),
    resource={"service.name": "shop"},
)


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("media_type", [PROTOBUF, "application/json"])
async def test_every_encoding_stores_the_same(
    service: Service, media_type: str, compress: bool
) -> None:
    json_too = json.dumps(as_json(SPANS)).encode()
    content = SPANS.SerializeToString() if media_type == PROTOBUF else json_too
    headers = {"Content-Type": f"{media_type}; charset=utf-8"}
    if compress:
        content, headers["Content-Encoding"] = gzip.compress(content), "gzip"
    answer = await service.client.post("/v1/traces", content=content, headers=headers)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == media_type
    assert answer.content == (b"" if media_type == PROTOBUF else b"{}")
    held = await read_trace(service)
    assert [one["span_id"] for one in held["spans"]] == [
        "00000000-0000-0000-0000-000000000002",
        "00000000-0000-0000-b7ad-6b7169203331",
    ]
    assert held["metadata"] == {"service.name": "shop"}
    assert held["spans"][1]["metadata"] == {
        **{"service.name": "shop", "n": 7, "f": 0.5, "b": True, "raw": "AP8="},
        "many": ["a", {"k": 1}],
    }


def test_ids_go_to_uuids_and_back_without_loss() -> None:
    for _ in range(50):
        trace, short = uuid4().bytes, uuid4().bytes[:8]
        as_uuid = ids.trace_uuid(trace)
        assert as_uuid is not None
        assert ids.trace_bytes(as_uuid) == trace
        as_uuid = ids.span_uuid(short)
        assert as_uuid is not None
        assert ids.span_bytes(UUID(str(as_uuid))) == short


async def test_spans_that_cannot_be_kept_are_counted_and_the_others_stored(
    service: Service,
) -> None:
    sent = request(
        span(),
        span(trace_id=bytes(16)),
        span(span_id=b"short"),
        span(2, start_time_unix_nano=0),
        span(3, parent_span_id=b"odd"),
    )
    answer = await export(service, sent.SerializeToString())
    assert answer.status_code == 200
    partial = ExportTraceServiceResponse.FromString(answer.content).partial_success
    assert partial.rejected_spans == 4
    assert "2 with no valid trace id" in partial.error_message
    assert [one["name"] for one in (await read_trace(service))["spans"]] == ["step"]
    answer = await service.client.post("/v1/traces", json=as_json(sent))
    assert answer.json()["partialSuccess"]["rejectedSpans"] == "4"


async def test_an_empty_request_is_fine(service: Service) -> None:
    assert (await export(service, b"")).status_code == 200
    assert (await service.client.post("/v1/traces", json={})).json() == {}


def status_of(answer: httpx.Response) -> Status:
    assert answer.headers["content-type"] == PROTOBUF
    return Status.FromString(answer.content)


@pytest.mark.parametrize(
    ("content", "headers", "status"),
    [
        (b"\xff\xff\xff", {}, 400),
        (b"not gzip", {"content_encoding": "gzip"}, 400),
        (gzip.compress(b"cut", mtime=0)[:-9], {"content_encoding": "gzip"}, 400),
        (b"", {"content_encoding": "br"}, 415),
        (b"", {"authorization": "Bearer wrong"}, 401),
        (b"", {"x_project_id": str(uuid4())}, 403),
        (b"", {"x_project_id": "nonsense"}, 422),
        (b"x" * (10 * 1024 * 1024 + 1), {}, 413),
    ],
)
async def test_errors_are_statuses_in_the_encoding_of_the_request(
    shared_service: Service, content: bytes, headers: dict[str, str], status: int
) -> None:
    answer = await export(shared_service, content, **headers)
    assert answer.status_code == status
    found = status_of(answer)
    assert found.code
    assert found.message
    headers = {"content_type": "application/json"} | headers
    content = content or b"{}"
    as_json = await export(shared_service, content, **headers)
    assert as_json.status_code == status
    assert as_json.json() == {"code": found.code, "message": as_json.json()["message"]}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"null",
        b'"text"',
        b"{",
        b"\xff",
        b'{"resourceSpans": 7}',
        b'{"resourceSpans": ["AAA"]}',
        b'{"resourceSpans": {"a": {}}}',
        b'{"resourceSpans": [{"scopeSpans": [{"spans": [7]}]}]}',
        b'{"resourceSpans":' + b"[" * 5000 + b"]" * 5000 + b"}",
    ],
)
async def test_json_that_is_no_export_request_is_400(shared_service: Service, body: bytes) -> None:
    answer = await export(shared_service, body, content_type="application/json")
    assert answer.status_code == 400, answer.text


async def test_unknown_fields_of_json_are_ignored(shared_service: Service) -> None:
    body = as_json(SPANS) | {"newInOtlp": [1]}
    body["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["alsoNew"] = {}
    assert (await shared_service.client.post("/v1/traces", json=body)).status_code == 200


async def test_other_media_types_are_415(shared_service: Service) -> None:
    for kind in ("text/plain", "application/x-protobuf2", ""):
        answer = await export(shared_service, b"", content_type=kind)
        assert answer.status_code == 415
        assert answer.headers["content-type"] == "application/json"


async def test_the_limit_counts_what_comes_out_of_the_compression(
    shared_service: Service,
) -> None:
    bomb = gzip.compress(bytes(11 * 1024 * 1024))
    assert len(bomb) < 20_000
    answer = await export(shared_service, bomb, content_encoding="gzip")
    assert answer.status_code == 413
    assert "decompressed" in status_of(answer).message


@pytest.mark.slow
def test_decompression_stops_at_the_limit() -> None:
    taken = 0
    for part in wire._inflate(gzip.compress(bytes(200 * 1024 * 1024), 9)):
        taken += len(part)
        if taken > 1_000_000:
            break
    assert taken < 2_000_000


def test_gzip_of_several_members_is_one_body() -> None:
    twice = gzip.compress(b"one ") + gzip.compress(b"two")
    assert wire.inflated(twice, "GZIP", 100) == b"one two"
    with pytest.raises(zlib.error):
        list(wire._inflate(gzip.compress(b"one") + b"garbage"))


async def test_a_read_key_stores_nothing(service: Service) -> None:
    key = await service.key(scope=Scope.READ, project_id=service.project_id)
    answer = await export(service, SPANS.SerializeToString(), x_api_key=key)
    assert answer.status_code == 403
    assert (await service.client.get("/traces")).json()["total"] == 0


async def test_the_same_trace_id_in_another_project_is_another_trace(service: Service) -> None:
    key = await service.key()
    headers = {"x_api_key": key, "x_project_name": "other"}
    await export(service, request(span(name="mine")).SerializeToString())
    foreign = await export(service, request(span(2, name="theirs")).SerializeToString(), **headers)
    assert foreign.status_code == 200
    held = await read_trace(service)
    assert [one["name"] for one in held["spans"]] == ["mine"]


def test_the_trace_id_is_its_own_uuid() -> None:
    assert ids.trace_uuid(TRACE) == UUID("0af76519-16cd-43dd-8448-eb211c80319c")


async def test_damaged_protobuf_is_read_or_refused(shared_service: Service) -> None:
    whole, chance = SPANS.SerializeToString(), Random(7)
    for _ in range(200):
        damaged = bytearray(whole)
        for _ in range(chance.randint(1, 5)):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        content = bytes(damaged[: chance.randint(1, len(damaged))])
        answer = await export(shared_service, content)
        assert answer.status_code in (200, 400), content.hex()
