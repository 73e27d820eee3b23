"""Traces over HTTP: changed, extended, tagged, deleted."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import func, select

from api.models.traces import SpanDetail, TraceDetail
from core.ids import Scope
from core.queries import loading
from core.tables import metadata
from tests.api.conftest import Service
from tests.factories import START, span_body

SCORES = "/evaluations/trace-scores"


async def held(service: Service, trace_id: str) -> dict[str, Any]:
    answer = await service.client.get(f"/traces/{trace_id}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    TraceDetail.model_validate(found, extra="forbid")
    return found


async def add_score(service: Service, trace_id: str, **fields: Any) -> str:
    body = {"trace_id": trace_id, "name": "quality", "value": "0.5"} | fields
    answer = await service.client.post(SCORES, json=body)
    assert answer.status_code == 201, answer.text
    id: str = answer.json()["id"]
    return id


async def rows(service: Service, table: str) -> int:
    async with service.database.read() as db:
        count = await db.scalar(select(func.count()).select_from(metadata.tables[table]))
    assert count is not None
    return count


async def foreign(service: Service) -> dict[str, str]:
    return {"X-API-Key": await service.key(), "X-Project-Name": "theirs"}


CHANGES: dict[str, Any] = {
    "name": "renamed",
    "status": "ERROR",
    "input": [1],
    "output": {"a": None},
    "metadata": {"b": 2},
    "ended_at": "2026-09-01T09:00:05Z",
    "session_id": "s2",
    "user_id": "u2",
    "environment": "prod",
    "release": "v2",
    "tags": ["new"],
}


async def test_any_field_of_a_trace_can_be_changed_and_the_others_stay(service: Service) -> None:
    for name, value in CHANGES.items():
        trace_id = await service.post_trace(tags=["old"], metadata={"a": 1}, session_id="s")
        before = await held(service, trace_id)
        answer = await service.client.patch(f"/traces/{trace_id}", json={name: value})
        assert answer.status_code == 200, answer.text
        after = await held(service, trace_id)
        assert answer.json() == after
        derived = {"latency_ms": 5000.0} if name == "ended_at" else {}
        assert after == before | {name: value} | derived


async def test_metrics_see_a_trace_as_it_was_changed(service: Service) -> None:
    span = span_body()
    trace_id = await service.post_trace(spans=[span])
    await service.client.patch(f"/traces/{trace_id}", json={"output": "Sorry."})
    path = f"/traces/{trace_id}/spans/{span['span_id']}"
    await service.client.patch(path, json={"error": "It broke."})
    async with service.database.read() as db:
        seen = (await loading.load(db, service.project_id, [UUID(trace_id)]))[UUID(trace_id)]
    assert (seen.output, seen.spans[0].error) == ("Sorry.", "It broke.")


async def test_null_empties_what_may_be_empty(service: Service) -> None:
    nullable = ("input", "output", "ended_at", "session_id", "user_id", "environment", "release")
    trace_id = await service.post_trace(
        session_id="s", user_id="u", environment="e", release="r", tags=["t"]
    )
    await service.client.patch(f"/traces/{trace_id}", json=dict.fromkeys(nullable))
    after = await held(service, trace_id)
    assert [after[name] for name in nullable] == [None] * len(nullable)
    assert after["latency_ms"] is None
    assert after["tags"] == ["t"]


@pytest.mark.parametrize(
    "changes",
    [
        {"name": None},
        {"name": ""},
        {"name": "n" * 513},
        {"name": "a\0"},
        {"status": None},
        {"status": "DONE"},
        {"metadata": None},
        {"metadata": []},
        {"tags": None},
        {"tags": [""]},
        {"tags": [f"t{n}" for n in range(1001)]},
        {"ended_at": "soon"},
        {"ended_at": 5},
        {"session_id": "s" * 256},
        {"user_id": 5},
        {"release": "\0"},
        [],
        "text",
        None,
    ],
)
async def test_a_bad_change_of_a_trace_is_422_and_changes_nothing(
    shared_service: Service, changes: Any
) -> None:
    trace_id = await shared_service.post_trace()
    before = await held(shared_service, trace_id)
    answer = await shared_service.client.patch(f"/traces/{trace_id}", json=changes)
    assert answer.status_code == 422, answer.text
    assert await held(shared_service, trace_id) == before


async def test_id_and_start_of_a_trace_stay_whatever_is_sent(service: Service) -> None:
    trace_id = await service.post_trace()
    before = await held(service, trace_id)
    changes = {"trace_id": str(uuid4()), "started_at": "2020-01-01", "spans": [], "colour": 1}
    answer = await service.client.patch(f"/traces/{trace_id}", json=changes)
    assert answer.status_code == 200
    assert await held(service, trace_id) == before


async def test_scores_carry_the_environment_their_trace_has_now(service: Service) -> None:
    trace_id = await service.post_trace(environment="dev")
    other = await service.post_trace(environment="dev")
    for id in (trace_id, other):
        await add_score(service, id)

    async def environments() -> list[str]:
        found = [(await service.client.get(f"{SCORES}/{id}")).json() for id in (trace_id, other)]
        return [score["environment"] for [score] in found]

    await service.client.patch(f"/traces/{trace_id}", json={"environment": "prod"})
    assert await environments() == ["prod", "dev"]
    await service.post_trace(trace_id=trace_id, environment="stage")
    assert await environments() == ["stage", "dev"]


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
    same = ("name", "kind", "status", "parent_span_id", "input", "output", "model", "metadata")
    assert {name: changed[name] for name in same} == {name: changes[name] for name in same}
    assert changed["error"] is None
    after = await held(service, trace_id)
    assert changed in after["spans"]
    assert (after["span_count"], after["total_tokens"], after["total_cost"]) == (2, 15, 2)


@pytest.mark.parametrize(
    "changes",
    [
        {"name": None},
        {"kind": "MAGIC"},
        {"kind": None},
        {"status": None},
        {"started_at": None},
        {"ended_at": "x"},
        {"metadata": None},
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


async def test_what_is_not_there_is_404(service: Service) -> None:
    trace_id, nobody = await service.post_trace(), uuid4()
    requests: list[tuple[str, str, Any]] = [
        ("PATCH", f"/traces/{nobody}", {}),
        ("DELETE", f"/traces/{nobody}", None),
        ("POST", f"/traces/{nobody}/spans", [span_body()]),
        ("PATCH", f"/traces/{nobody}/spans/{nobody}", {}),
        ("PATCH", f"/traces/{trace_id}/spans/{nobody}", {}),
    ]
    for method, path, body in requests:
        answer = await service.client.request(method, path, json=body)
        assert answer.status_code == 404, path


async def test_a_read_key_changes_nothing(service: Service) -> None:
    trace_id = await service.post_trace()
    headers = {"X-API-Key": await service.key(scope=Scope.READ), "X-Project-Name": "default"}
    for method, path, body in [
        ("PATCH", f"/traces/{trace_id}", {}),
        ("DELETE", f"/traces/{trace_id}", None),
        ("POST", f"/traces/{trace_id}/spans", [span_body()]),
        ("POST", "/traces/batch/delete", {"trace_ids": [trace_id]}),
        ("POST", "/traces/batch/tags", {"trace_ids": [trace_id]}),
        ("POST", SCORES, {"trace_id": trace_id, "name": "n", "value": "1"}),
    ]:
        answer = await service.client.request(method, path, json=body, headers=headers)
        assert answer.status_code == 403, path


async def test_changes_of_one_trace_at_once_all_take_place(service: Service) -> None:
    spans = [span_body(token_usage={"total_tokens": 1}) for _ in range(6)]
    trace_id = await service.post_trace(spans=spans)
    usage = {"token_usage": {"total_tokens": 5}}
    await asyncio.gather(
        *(
            service.client.patch(f"/traces/{trace_id}/spans/{span['span_id']}", json=usage)
            for span in spans
        ),
        *(service.client.post(f"/traces/{trace_id}/spans", json=[span_body()]) for _ in range(6)),
        *(
            service.client.post(
                "/traces/batch/tags", json={"trace_ids": [trace_id], "add_tags": [t]}
            )
            for t in "abcdef"
        ),
        service.client.patch(f"/traces/{trace_id}", json={"environment": "prod"}),
    )
    after = await held(service, trace_id)
    assert (after["span_count"], after["total_tokens"]) == (12, 30)
    assert after["tags"] == list("abcdef")
    assert after["environment"] == "prod"
