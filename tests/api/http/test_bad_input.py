"""Invalid requests: each gets a 4xx response with a reason, never 500."""

import json
from typing import Any
from uuid import uuid4

import pytest

from tests.api.conftest import Service, provider
from tests.factories import span_body, trace_body

JSON = {"Content-Type": "application/json"}
DEEP = 100_000
BARE: list[Any] = [0, -7, 1.5, 1e300, True, "12", "1e5", "", [], {}]


def nested(levels: int) -> str:
    return "[" * levels + "]" * levels


def raw_trace(**fields: str) -> str:
    """A trace body with some fields as raw JSON text, which a JSON writer would not produce."""
    body = {name: json.dumps(value) for name, value in trace_body().items()} | fields
    return "{" + ",".join(f'"{name}":{text}' for name, text in body.items()) + "}"


def raw_run(**fields: str) -> str:
    body = {"metrics": '["task_completion"]'} | fields
    return "{" + ",".join(f'"{name}":{text}' for name, text in body.items()) + "}"


async def post(service: Service, path: str, content: str | bytes) -> Any:
    return await service.client.post(path, content=content, headers=JSON)


@pytest.mark.parametrize(
    "fields",
    [
        {"started_at": '"yesterday"'},
        {"started_at": '"2026-13-01T00:00:00Z"'},
        {"started_at": "1756717200"},
        {"started_at": "null"},
        {"started_at": '"0001-01-01T00:00:00+14:00"'},
        {"started_at": '"9999-12-31T23:59:59-01:00"'},
        {"ended_at": '""'},
        {"trace_id": '"1234"'},
        {"trace_id": '"\\u0000"'},
        {"trace_id": "12345678901234567890123"},
        {"name": '""'},
        {"name": json.dumps("n" * 513)},
        {"name": '"a\\u0000b"'},
        {"name": '"a\\ud800b"'},
        {"name": "7"},
        {"status": '"DONE"'},
        {"status": '"\\ud800"'},
        {"session_id": '"a\\u0000b"'},
        {"session_id": '"a\\udfffb"'},
        {"user_id": json.dumps("u" * 256)},
        {"environment": '"\\u0000"'},
        {"release": '"\\ud83d"'},
        {"tags": '["fine", "\\u0000"]'},
        {"tags": '["\\udc00"]'},
        {"tags": '[""]'},
        {"tags": json.dumps(["t" * 256])},
        {"tags": '"tag"'},
        {"tags": json.dumps([f"t{n}" for n in range(1001)])},
        {"metadata": "[]"},
        {"metadata": '"text"'},
        {"metadata": "NaN"},
        {"input": "NaN"},
        {"input": "[Infinity]"},
        {"output": '{"a": -Infinity}'},
        {"output": "1e999"},
        {"output": "9" * 5000},
        {"input": nested(201)},
        {"input": nested(900)},
        {"output": nested(DEEP)},
        {"metadata": '{"a":' * 300 + "1" + "}" * 300},
        {"spans": json.dumps([span_body() for _ in range(501)])},
        {"spans": json.dumps([span_body(kind="MAGIC")])},
        {"spans": json.dumps([span_body(name="")])},
        {"spans": json.dumps([span_body(parent_span_id="x")])},
        {"spans": '[{"name": "a\\u0000", "started_at": "2026-09-01"}]'},
        {"spans": '[{"name": "a", "started_at": "2026-09-01", "model": "\\ud800"}]'},
        {"spans": '[{"name": "a", "started_at": "2026-09-01", "input": ' + nested(300) + "}]"},
        {"spans": "[null]"},
    ],
)
async def test_a_bad_trace_is_422_and_not_stored(
    shared_service: Service, fields: dict[str, str]
) -> None:
    before = (await shared_service.client.get("/traces")).json()["total"]
    answer = await post(shared_service, "/traces", raw_trace(**fields))
    assert answer.status_code == 422, answer.text
    assert answer.json()["detail"]
    assert (await shared_service.client.get("/traces")).json()["total"] == before


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'"text"',
        b"\xff\xfe",
        b'{"name": "\xff"}',
        b'\xef\xbb\xbf{"name": "a"}',
        '{"name": "utf-16"}'.encode("utf-16"),
        nested(DEEP).encode(),
        b"NaN",
        b"1" * 5000,
        b'{"a\\ud800": 1}',
    ],
)
@pytest.mark.parametrize(
    "path", ["/traces", "/evaluations/trace-runs", "/evaluations/trace-runs/batch"]
)
async def test_a_body_that_is_no_json_object_is_422(
    shared_service: Service, path: str, content: bytes
) -> None:
    answer = await post(shared_service, path, content)
    assert answer.status_code == 422, answer.text
    json.loads(answer.content.decode())


@pytest.mark.parametrize(
    "fields",
    [
        {"metrics": "[]"},
        {"metrics": '"task_completion"'},
        {"metrics": '["task_completion", null]'},
        {"metrics": '["no_such_metric"]'},
        {"metrics": '["loop_detection"]'},
        {"metrics": '["agent_reliability"]'},
        {"metrics": '["\\u0000"]'},
        {"metrics": '["\\ud800"]'},
        {"sampling_rate": "1.1"},
        {"sampling_rate": "-0.1"},
        {"sampling_rate": '"a"'},
        {"sampling_rate": "NaN"},
        {"sampling_rate": "Infinity"},
        {"sampling_rate": "null"},
        {"sampling_rat": "0.5"},
        {"filters": '{"date_from": "yesterday"}'},
        {"filters": '{"date_to": "2026-02-30"}'},
        {"filters": '{"date_from": 5}'},
        {"filters": '{"date_from": "2026-09-02", "date_to": "2026-09-01"}'},
        {"filters": '{"date_from": "2026-09-01", "date_to": "2026-09-01"}'},
        {"filters": '{"status": "DONE"}'},
        {"filters": '{"sesion_id": "s"}'},
        {"filters": '{"name": "\\u0000"}'},
        {"filters": '{"user_id": "\\ud800"}'},
        {"filters": '{"tags": ["\\u0000"]}'},
        {"filters": '{"tags": "a"}'},
        {"filters": json.dumps({"tags": [f"t{n}" for n in range(1001)]})},
        {"filters": nested(500)},
        {"filters": "null"},
        {"name": '""'},
        {"name": '"\\u0000"'},
        {"name": '"\\ud800"'},
        {"name": json.dumps("n" * 513)},
        {"model": '""'},
        {"model": '"\\u0000"'},
        {"model": json.dumps("m" * 256)},
        {"model": '"nobody/model"'},
        {"model": '"just-a-name"'},
        {"fresh": '"perhaps"'},
        {"monitor_id": f'"{uuid4()}"'},
        {"a\\ud800": "1"},
        {"a\\u0000": "1"},
    ],
)
async def test_a_bad_run_is_422_and_nothing_is_created(
    shared_service: Service, fields: dict[str, str]
) -> None:
    await shared_service.publish(provider())
    await shared_service.post_trace()
    answer = await post(shared_service, "/evaluations/trace-runs", raw_run(**fields))
    assert answer.status_code == 422, answer.text
    assert json.loads(answer.content.decode())["detail"]
    listed = await shared_service.client.get("/evaluations/trace-runs")
    assert listed.json()["total"] == 0
    assert shared_service.runs.started == []


async def test_an_unknown_metric_is_named_with_the_known_ones(shared_service: Service) -> None:
    await shared_service.post_trace()
    for path in ("/evaluations/trace-runs/template?metric=speed",):
        detail = (await shared_service.client.get(path)).json()["detail"]
    assert "'speed'" in detail
    assert "task_completion" in detail
    answer = await shared_service.client.post(
        "/evaluations/trace-runs", json={"metrics": ["task_completion", "speed"]}
    )
    assert "'speed'" in answer.json()["detail"]
    assert "tool_correctness" in answer.json()["detail"]


async def test_a_refusal_never_repeats_what_was_sent(shared_service: Service) -> None:
    answer = await post(shared_service, "/traces", raw_trace(name='["my secret"]'))
    assert answer.status_code == 422
    assert "my secret" not in answer.text
    assert answer.json()["detail"][0]["loc"] == ["body", "name"]


async def test_unstorable_characters_of_content_are_replaced(service: Service) -> None:
    dirty = '"a\\u0000b\\ud800c\\udc00\\ud83d\\ude00"'
    clean = "a\ufffdb\ufffdc\ufffd😀"
    span = {"name": '"s"', "started_at": '"2026-09-01"', "input": dirty, "output": f"[{dirty}]"}
    span |= {"error": dirty, "metadata": f"{{{dirty}: 1}}"}
    spans = "[{" + ",".join(f'"{name}":{text}' for name, text in span.items()) + "}]"
    content = raw_trace(
        input=dirty, output=f'{{"deep": [{dirty}]}}', metadata=f"{{{dirty}: {dirty}}}", spans=spans
    )
    accepted = await post(service, "/traces", content)
    assert accepted.status_code == 202, accepted.text
    held = (await service.client.get(f"/traces/{accepted.json()['trace_id']}")).json()
    assert held["input"] == clean
    assert held["output"] == {"deep": [clean]}
    assert held["metadata"] == {clean: clean}
    assert held["spans"][0]["input"] == held["spans"][0]["error"] == clean
    assert held["spans"][0]["metadata"] == {clean: 1}


async def test_large_and_odd_traces_are_stored_whole(service: Service) -> None:
    large = "x" * 3_000_000
    numbers = {"int64": 2**63 - 1, "uint64": 2**64 - 1, "beyond": 10**30, "tiny": 1e-300}
    first, second = str(uuid4()), str(uuid4())
    cycle = [
        span_body(span_id=first, parent_span_id=second),
        span_body(span_id=second, parent_span_id=first),
        span_body(parent_span_id=str(uuid4())),
    ]
    odd: list[dict[str, Any]] = [
        {"output": large},
        {"input": numbers},
        {"input": json.loads(nested(200))},
        *({"output": bare} for bare in BARE),
        {"spans": []},
        {"spans": [span_body() for _ in range(500)]},
        {"spans": cycle},
        {"spans": [span_body(token_usage={"total_tokens": 10**30}, cost=1e300)]},
        {"name": "n" * 512, "user_id": "日" * 255},
    ]
    for overrides in odd:
        trace_id = await service.post_trace(**overrides)
        answer = await service.client.get(f"/traces/{trace_id}")
        assert answer.status_code == 200
        held = answer.json()
        for name in {"output", "input", "name", "user_id"} & set(overrides):
            assert held[name] == overrides[name]
        if "spans" in overrides:
            assert held["span_count"] == len(held["spans"]) == len(overrides["spans"])


@pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded", "json"])
async def test_a_body_that_does_not_say_it_is_json_is_415(
    shared_service: Service, media_type: str
) -> None:
    headers = {"Content-Type": media_type}
    content = json.dumps(trace_body())
    answer = await shared_service.client.post("/traces", content=content, headers=headers)
    assert answer.status_code == 415
    assert "application/json" in answer.json()["detail"]


async def test_a_compressed_body_is_415(shared_service: Service) -> None:
    answer = await shared_service.client.post(
        "/traces", content=b"x", headers=JSON | {"Content-Encoding": "gzip"}
    )
    assert answer.status_code == 415


async def test_a_trailing_slash_is_404(shared_service: Service) -> None:
    for path in ("/traces/", "/evaluations/trace-runs/", "/health/", "/evaluations/providers/"):
        answer = await shared_service.client.get(path)
        assert answer.status_code in {404, 422}, path
        assert "location" not in answer.headers
