"""Traces over HTTP: accepted, merged, read, listed."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from api.schemas.pages import PageOf
from api.schemas.traces import TraceDetail, TraceSummary
from tests.api.conftest import Service
from tests.factories import START, span_body, trace_body


async def test_an_accepted_trace_can_be_read(service: Service) -> None:
    call = span_body(
        kind="LLM",
        model="m",
        token_usage={"prompt_tokens": 2, "completion_tokens": 3},
        cost={"total": 0.25},
        completion_start_time=(START + timedelta(milliseconds=200)).isoformat(),
    )
    body = trace_body(spans=[call], tags=["a"], session_id="s", metadata={"k": [1, None]})
    accepted = await service.client.post("/traces", json=body)
    assert accepted.status_code == 202
    assert accepted.json()["trace_id"] == body["trace_id"]
    assert accepted.json()["task_id"]

    answer = await service.client.get(f"/traces/{body['trace_id']}")
    assert answer.status_code == 200
    held = TraceDetail.model_validate(answer.json(), extra="forbid")
    assert held.input == body["input"]
    assert (held.tags, held.session_id, held.metadata) == (["a"], "s", {"k": [1, None]})
    assert (held.latency_ms, held.total_tokens, held.total_cost) == (3000, 5, 0.25)
    [span] = held.spans
    assert span.span_id == UUID(call["span_id"])
    assert (span.latency_ms, span.time_to_first_token_ms) == (1000, 200)
    assert answer.json()["started_at"].endswith("Z")


async def test_ids_are_made_when_absent(service: Service) -> None:
    body = trace_body(spans=[{"name": "s", "started_at": START.isoformat()}])
    del body["trace_id"]
    accepted = await service.client.post("/traces", json=body)
    held = await service.client.get(f"/traces/{accepted.json()['trace_id']}")
    assert held.json()["spans"][0]["kind"] == "OTHER"
    assert held.json()["spans"][0]["status"] == "UNSET"
    assert held.json()["status"] == "COMPLETED"


async def test_a_trace_sent_again_is_merged(service: Service) -> None:
    trace_id = await service.post_trace(tags=["a"], metadata={"x": 1})
    await service.post_trace(trace_id=trace_id, tags=["b"], metadata={"y": 2}, output=None)
    held = (await service.client.get(f"/traces/{trace_id}")).json()
    assert held["tags"] == ["a", "b"]
    assert held["metadata"] == {"x": 1, "y": 2}
    assert held["output"] == trace_body()["output"]
    assert held["span_count"] == 2


async def test_unknown_fields_are_ignored_on_ingestion(service: Service) -> None:
    await service.post_trace(colour="blue", spans=[span_body(colour="red")])


async def test_a_trace_of_another_project_is_not_found(service: Service) -> None:
    key = await service.key()
    theirs = {"Authorization": f"Bearer {key}", "X-Project-Name": "theirs"}
    trace_id = await service.post_trace()
    assert (await service.client.get(f"/traces/{trace_id}", headers=theirs)).status_code == 404
    listed = await service.client.get("/traces", headers=theirs)
    assert listed.json() == {"items": [], "total": 0, "limit": 50, "offset": 0}


async def test_a_list_has_filters_order_and_pages(service: Service) -> None:
    ids = [
        await service.post_trace(
            name=f"agent {n}",
            started_at=(START + timedelta(hours=n)).isoformat(),
            ended_at=(START + timedelta(hours=n, seconds=10 - n)).isoformat(),
            tags=[f"t{n}"],
            user_id="even" if n % 2 == 0 else "odd",
            session_id="s" if n < 3 else None,
            status="ERROR" if n == 4 else "COMPLETED",
        )
        for n in range(5)
    ]

    async def listed(**query: Any) -> list[int]:
        answer = await service.client.get("/traces", params=query)
        assert answer.status_code == 200, answer.text
        page = PageOf[TraceSummary].model_validate(answer.json(), extra="forbid")
        return [ids.index(str(item.trace_id)) for item in page.items]

    assert await listed() == [4, 3, 2, 1, 0]
    assert await listed(sort_order="asc", limit=2, offset=1) == [1, 2]
    assert await listed(sort_by="latency") == [0, 1, 2, 3, 4]
    assert await listed(sort_by="name", sort_order="asc") == [0, 1, 2, 3, 4]
    assert await listed(tags=["t1", "t3"]) == [3, 1]
    assert await listed(user_id="even", status="COMPLETED") == [2, 0]
    assert await listed(session_id="s", name="AGENT 2") == [2]
    after, before = START + timedelta(hours=1), START + timedelta(hours=3)
    bounds = {"started_after": after.isoformat(), "started_before": before.isoformat()}
    assert await listed(**bounds) == [2, 1]
    assert (await service.client.get("/traces", params={"limit": 1})).json()["total"] == 5


@pytest.mark.parametrize(
    "query",
    [
        {"limit": 0},
        {"limit": 201},
        {"limit": "ten"},
        {"offset": -1},
        {"offset": 2**31},
        {"offset": 10**30},
        {"status": "DONE"},
        {"sort_by": "cost"},
        {"sort_order": "up"},
        {"started_after": "yesterday"},
        {"started_after": "2026-09-02", "started_before": "2026-09-01"},
        {"started_after": "2026-09-01", "started_before": "2026-09-01"},
        {"name": "a\0b"},
        {"session_id": "\0"},
        {"tags": ["fine", "\0"]},
        {"limt": 5},
    ],
)
async def test_a_list_refuses_bad_parameters(
    shared_service: Service, query: dict[str, Any]
) -> None:
    answer = await shared_service.client.get("/traces", params=query)
    assert answer.status_code == 422, answer.text
    assert answer.json()["detail"]


async def test_an_id_that_does_not_parse_is_422(shared_service: Service) -> None:
    for trace_id in ("nonsense", "%00", "%ED%A0%80"):
        assert (await shared_service.client.get(f"/traces/{trace_id}")).status_code == 422
    assert (await shared_service.client.get(f"/traces/{uuid4()}")).status_code == 404


async def test_many_traces_at_once_are_all_stored(service: Service) -> None:
    ids = await asyncio.gather(*(service.post_trace(name=f"n{n}") for n in range(40)))
    listed = await service.client.get("/traces", params={"limit": 200})
    assert {item["trace_id"] for item in listed.json()["items"]} == set(ids)


async def test_parts_of_one_trace_at_once_all_arrive(service: Service) -> None:
    trace_id = str(uuid4())
    await asyncio.gather(
        *(service.post_trace(trace_id=trace_id, tags=[f"t{n}"]) for n in range(12))
    )
    held = (await service.client.get(f"/traces/{trace_id}")).json()
    assert held["span_count"] == 12
    assert len(held["tags"]) == 12


async def test_moments_without_an_offset_are_utc(sqlite_service: Service) -> None:
    trace_id = await sqlite_service.post_trace(started_at="2026-09-01T09:00:00", ended_at=None)
    held = (await sqlite_service.client.get(f"/traces/{trace_id}")).json()
    assert datetime.fromisoformat(held["started_at"]) == datetime(2026, 9, 1, 9, tzinfo=UTC)
