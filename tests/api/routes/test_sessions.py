from datetime import timedelta
from typing import Any
from urllib.parse import quote

import pytest

from api.routes import sessions
from core.ids import Scope
from tests.api.conftest import Service
from tests.factories import START


def at(**delta: float) -> str:
    return (START + timedelta(**delta)).isoformat()


async def listed(service: Service, **params: Any) -> list[str]:
    answer = await service.client.get("/sessions", params=params)
    assert answer.status_code == 200, answer.text
    return [item["session_id"] for item in answer.json()["items"]]


async def test_a_session_is_shown_with_its_sums(service: Service) -> None:
    await service.post_trace(session_id="s", tags=["b"], user_id="ada", ended_at=at(seconds=3))
    await service.post_trace(
        session_id="s", tags=["a"], status="ERROR", started_at=at(seconds=5), ended_at=None
    )
    answer = await service.client.get("/sessions")
    assert answer.json() == {
        "items": [
            {
                "session_id": "s",
                "trace_count": 2,
                "first_trace_at": "2026-09-01T09:00:00Z",
                "last_trace_at": "2026-09-01T09:00:03Z",
                "total_latency_ms": 3000,
                "has_error": True,
                "user_id": "ada",
                "tags": ["a", "b"],
                "total_span_count": 2,
                "total_tokens": 0,
                "total_cost": 0,
            }
        ],
        "total": 1,
        "limit": 50,
        "offset": 0,
    }
    detail = (await service.client.get("/sessions/s", params={"limit": 1})).json()
    assert detail["trace_count"] == 2
    assert [trace["tags"] for trace in detail["traces"]] == [["b"]]


@pytest.mark.parametrize("bytes_per_read", [sessions.BYTES_PER_READ, 0], ids=["small", "large"])
async def test_a_session_has_whole_traces_in_pages(
    service: Service, monkeypatch: pytest.MonkeyPatch, bytes_per_read: int
) -> None:
    monkeypatch.setattr(sessions, "TRACES_PER_READ", 2)
    monkeypatch.setattr(sessions, "BYTES_PER_READ", bytes_per_read)
    ids = [
        await service.post_trace(session_id="s", started_at=at(seconds=n), metadata={"n": n})
        for n in range(5)
    ]
    await service.post_trace(session_id="other")
    whole = [(await service.client.get(f"/traces/{trace_id}")).json() for trace_id in ids]
    assert whole[0]["spans"]
    for limit, offset in ((200, 0), (2, 0), (2, 2), (2, 4), (1, 5), (3, 1)):
        page = {"limit": limit, "offset": offset}
        detail = (await service.client.get("/sessions/s", params=page)).json()
        assert detail["traces"] == whole[offset : offset + limit]
        assert detail["trace_count"] == 5


async def test_lists_are_filtered_and_sorted(service: Service) -> None:
    await service.post_trace(session_id="one", user_id="ada", tags=["x", "y"])
    for n in (1, 2):
        await service.post_trace(session_id="two", status="ERROR", started_at=at(hours=n))
    assert await listed(service) == ["two", "one"]
    assert await listed(service, sort_order="asc") == ["one", "two"]
    assert await listed(service, sort_by="trace_count", sort_order="asc") == ["one", "two"]
    assert await listed(service, user_id="ada") == ["one"]
    assert await listed(service, has_error=True) == ["two"]
    assert await listed(service, tags=["y", "z"]) == ["one"]
    assert await listed(service, query="TW") == ["two"]
    assert await listed(service, started_after=at(minutes=30)) == ["two"]
    assert await listed(service, started_before=at(minutes=30)) == ["one"]
    assert await listed(service, limit=1, offset=1) == ["one"]


@pytest.mark.parametrize(
    "params",
    [
        {"sort_by": "name"},
        {"sort_order": "up"},
        {"limit": 0},
        {"limit": 201},
        {"offset": -1},
        {"has_error": "perhaps"},
        {"started_after": "yesterday"},
        {"started_after": "2026-01-02", "started_before": "2026-01-01"},
        {"query": "\0"},
        {"unknown": 1},
    ],
)
async def test_a_bad_list_is_422(shared_service: Service, params: dict[str, Any]) -> None:
    assert (await shared_service.client.get("/sessions", params=params)).status_code == 422


@pytest.mark.parametrize("page", [{"limit": 0}, {"limit": 1001}, {"offset": -1}, {"ofset": 1}])
async def test_a_bad_page_of_a_session_is_422(
    shared_service: Service, page: dict[str, int]
) -> None:
    answer = await shared_service.client.get("/sessions/s", params=page)
    assert answer.status_code == 422


async def test_an_id_may_hold_anything_a_client_wrote(service: Service) -> None:
    for name in ("a/b", "a b?c=d", "ünï", "%2F", "analytics/x"):
        await service.post_trace(session_id=name)
        path = quote(name, safe="")
        found = await service.client.get(f"/sessions/{path}")
        assert found.status_code == 200, name
        assert found.json()["session_id"] == name
        assert (await service.client.delete(f"/sessions/{path}")).json() == {"deleted": 1}
        assert (await service.client.get(f"/sessions/{path}")).status_code == 404


async def test_a_deleted_session_is_gone_with_its_traces(service: Service) -> None:
    trace_id = await service.post_trace(session_id="s")
    kept = await service.post_trace()
    assert (await service.client.delete("/sessions/s")).json() == {"deleted": 1}
    assert (await service.client.get(f"/traces/{trace_id}")).status_code == 404
    assert (await service.client.get(f"/traces/{kept}")).status_code == 200
    assert (await service.client.delete("/sessions/s")).status_code == 404


async def test_a_read_key_deletes_no_session_and_another_project_sees_none(
    service: Service,
) -> None:
    await service.post_trace(session_id="s")
    reader = {"X-API-Key": await service.key(scope=Scope.READ, project_id=service.project_id)}
    assert (await service.client.delete("/sessions/s", headers=reader)).status_code == 403
    unbound = {
        "X-API-Key": await service.key(scope=Scope.WRITE),
        "X-Project-Name": "elsewhere",
    }
    for method in ("GET", "DELETE"):
        answer = await service.client.request(method, "/sessions/s", headers=unbound)
        assert answer.status_code == 404
    listed = await service.client.get("/sessions", headers=unbound)
    assert listed.json()["total"] == 0


@pytest.mark.parametrize(
    ("granularity", "buckets"),
    [
        # 2026-09-01 is a Tuesday.
        ("hour", [("2026-09-01T09:00:00Z", 1), ("2026-09-01T11:00:00Z", 1)]),
        ("day", [("2026-09-01T00:00:00Z", 2)]),
        ("week", [("2026-08-31T00:00:00Z", 2)]),
    ],
)
async def test_sessions_are_counted_by_when_they_began(
    service: Service, granularity: str, buckets: list[tuple[str, int]]
) -> None:
    await service.post_trace(session_id="one", ended_at=at(seconds=1))
    await service.post_trace(
        session_id="one", started_at=at(minutes=1), ended_at=at(minutes=1, seconds=2)
    )
    await service.post_trace(session_id="two", started_at=at(hours=2), ended_at=None)
    await service.post_trace(started_at=at(hours=2))
    answer = await service.client.get("/sessions/analytics", params={"granularity": granularity})
    found = answer.json()
    assert [(b["bucket"], b["session_count"]) for b in found] == buckets
    if granularity == "hour":
        assert found[0]["avg_traces_per_session"] == 2
        assert found[0]["avg_session_duration_ms"] == 62_000
        assert found[1]["avg_session_duration_ms"] == 0
    later = await service.client.get("/sessions/analytics", params={"started_after": at(hours=1)})
    assert [b["session_count"] for b in later.json()] == [1]
