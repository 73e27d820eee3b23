"""Spans that are added and changed after their trace."""

from datetime import timedelta
from typing import Any

import pytest

from api.schemas.traces import SpanDetail
from tests.api.calls import held
from tests.api.conftest import Service
from tests.factories import START, span_body


async def test_added_spans_count_in_the_sums(service: Service) -> None:
    first = span_body(token_usage={"total_tokens": 3}, cost=1)
    trace_id = await service.post_trace(spans=[first])
    more = [span_body(token_usage={"prompt_tokens": 2, "completion_tokens": 2}, cost=0.5)]
    anew = dict(first, token_usage={"total_tokens": 10}, output="late", input=None)
    unnamed = {"name": "s", "started_at": START.isoformat()}
    answer = await service.client.post(f"/traces/{trace_id}/spans", json=[*more, anew, unnamed])
    assert answer.status_code == 201, answer.text
    after = await held(service, trace_id)
    ids = answer.json()["span_ids"]
    assert ids[:2] == [more[0]["span_id"], first["span_id"]]
    assert {span["span_id"] for span in after["spans"]} == set(ids)
    assert (after["span_count"], after["total_tokens"], after["total_cost"]) == (3, 14, 1.5)


@pytest.mark.parametrize(
    "spans",
    [
        [],
        {},
        None,
        [None],
        [span_body() for _ in range(501)],
        [span_body(kind="MAGIC")],
        [span_body(), span_body(name="")],
        [span_body(span_id="x")],
        [span_body(started_at=None)],
    ],
)
async def test_bad_spans_are_422_and_none_is_added(shared_service: Service, spans: Any) -> None:
    trace_id = await shared_service.post_trace(spans=[])
    answer = await shared_service.client.post(f"/traces/{trace_id}/spans", json=spans)
    assert answer.status_code == 422, answer.text
    assert (await held(shared_service, trace_id))["span_count"] == 0


async def test_a_span_can_be_changed_and_the_sums_follow(service: Service) -> None:
    span = span_body(token_usage={"total_tokens": 3}, cost=1, error="early", metadata={"a": 1})
    other = span_body(token_usage={"total_tokens": 4})
    trace_id = await service.post_trace(spans=[span, other])
    path = f"/traces/{trace_id}/spans/{span['span_id']}"
    changes = {
        "name": "renamed",
        "kind": "LLM",
        "status": "OK",
        "parent_span_id": other["span_id"],
        "input": "in",
        "output": ["out"],
        "model": "m",
        "metadata": {"b": 2},
        "started_at": (START + timedelta(seconds=1)).isoformat(),
        "ended_at": (START + timedelta(seconds=3)).isoformat(),
        "completion_start_time": (START + timedelta(seconds=2)).isoformat(),
        "model_parameters": {"temperature": 0},
        "token_usage": {"prompt_tokens": 5, "completion_tokens": 6},
        "cost": 2,
        "error": None,
        "colour": "ignored",
    }
    answer = await service.client.patch(path, json=changes)
    assert answer.status_code == 200, answer.text
    changed = answer.json()
    SpanDetail.model_validate(changed, extra="forbid")
    assert (changed["latency_ms"], changed["time_to_first_token_ms"]) == (2000, 1000)
    assert changed["cost"] == {"total": 2}
    same = ("name", "kind", "status", "parent_span_id", "input", "output", "model")
    assert {name: changed[name] for name in same} == {name: changes[name] for name in same}
    assert changed["error"] is None
    assert changed["metadata"] == {"a": 1, "b": 2}
    after = await held(service, trace_id)
    assert changed in after["spans"]
    assert (after["span_count"], after["total_tokens"], after["total_cost"]) == (2, 15, 2)


@pytest.mark.parametrize("name", ["name", "kind", "status", "started_at", "metadata"])
async def test_null_for_what_a_span_must_have_changes_nothing(service: Service, name: str) -> None:
    span = span_body(kind="LLM", status="OK", metadata={"a": 1})
    trace_id = await service.post_trace(spans=[span])
    before = await held(service, trace_id)
    path = f"/traces/{trace_id}/spans/{span['span_id']}"
    answer = await service.client.patch(path, json={name: None})
    assert answer.status_code == 200, answer.text
    assert await held(service, trace_id) == before


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": "MAGIC"},
        {"ended_at": "x"},
        {"token_usage": [1]},
        {"cost": "free"},
        {"parent_span_id": "x"},
        {"model": "m" * 256},
        [],
    ],
)
async def test_a_bad_change_of_a_span_is_422(shared_service: Service, changes: Any) -> None:
    span = span_body()
    trace_id = await shared_service.post_trace(spans=[span])
    path = f"/traces/{trace_id}/spans/{span['span_id']}"
    before = await held(shared_service, trace_id)
    assert (await shared_service.client.patch(path, json=changes)).status_code == 422
    assert await held(shared_service, trace_id) == before
