"""Traces over HTTP: changed, extended, tagged, deleted."""

import asyncio
from typing import Any
from uuid import UUID, uuid4

import pytest

from core.ids import Scope
from core.queries import trace_loading
from tests.api.calls import SCORES, add_score, held
from tests.api.conftest import Service
from tests.factories import span_body

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
        merged = {"metadata": {"a": 1, "b": 2}} if name == "metadata" else {}
        assert after == before | {name: value} | derived | merged


@pytest.mark.parametrize("name", ["name", "status", "metadata", "tags"])
async def test_null_for_what_a_trace_must_have_changes_nothing(service: Service, name: str) -> None:
    trace_id = await service.post_trace(tags=["old"], metadata={"a": 1}, status="ERROR")
    before = await held(service, trace_id)
    answer = await service.client.patch(f"/traces/{trace_id}", json={name: None})
    assert answer.status_code == 200, answer.text
    assert answer.json() == before


async def test_metadata_merges_and_null_removes_a_key(service: Service) -> None:
    span = span_body(metadata={"a": 1, "b": {"c": 1}})
    trace_id = await service.post_trace(metadata={"a": 1, "b": {"c": 1}}, spans=[span])
    changes = {"metadata": {"a": None, "b": {"d": None}, "e": 2}}
    expected = {"b": {"d": None}, "e": 2}
    trace = await service.client.patch(f"/traces/{trace_id}", json=changes)
    assert trace.json()["metadata"] == expected
    path = f"/traces/{trace_id}/spans/{span['span_id']}"
    assert (await service.client.patch(path, json=changes)).json()["metadata"] == expected
    again = span | {"metadata": {"e": None}}
    await service.post_trace(trace_id=trace_id, metadata={"e": None}, spans=[again])
    after = await held(service, trace_id)
    assert (after["metadata"], after["spans"][0]["metadata"]) == ({"b": {"d": None}},) * 2


async def test_metrics_see_a_trace_as_it_was_changed(service: Service) -> None:
    span = span_body()
    trace_id = await service.post_trace(spans=[span])
    await service.client.patch(f"/traces/{trace_id}", json={"output": "Sorry."})
    path = f"/traces/{trace_id}/spans/{span['span_id']}"
    await service.client.patch(path, json={"error": "It broke."})
    async with service.database.read() as db:
        seen = (await trace_loading.load(db, service.project_id, [UUID(trace_id)]))[UUID(trace_id)]
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
        {"name": ""},
        {"name": "n" * 513},
        {"name": "a\0"},
        {"status": "DONE"},
        {"metadata": []},
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
    for each in (trace_id, other):
        await add_score(service, each)

    async def environments() -> list[str]:
        found = [
            (await service.client.get(f"{SCORES}/{each}")).json() for each in (trace_id, other)
        ]
        return [score["environment"] for [score] in found]

    await service.client.patch(f"/traces/{trace_id}", json={"environment": "prod"})
    assert await environments() == ["prod", "dev"]
    await service.post_trace(trace_id=trace_id, environment="stage")
    assert await environments() == ["stage", "dev"]


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
