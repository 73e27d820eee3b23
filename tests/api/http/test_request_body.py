"""The key is checked before the body; bodies have limits of size, time and memory."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from api.http import json_body, request_body
from api.http.memory_budget import MemoryBudget
from api.http.prometheus import ApiMeasures
from core.errors import Overloaded
from core.ids import Scope
from core.settings import Settings
from tests.api.conftest import Service, serve
from tests.factories import trace_body

MB = 1024 * 1024
JSON = {"Content-Type": "application/json"}


async def never_asked_for() -> AsyncIterator[bytes]:
    raise AssertionError("the body was read")
    yield b""


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/traces"),
        ("PATCH", "/traces/nonsense"),
        ("POST", "/v1/traces"),
        ("POST", "/evaluations/trace-runs"),
        ("POST", "/evaluations/monitors"),
    ],
)
async def test_the_body_of_a_request_without_a_usable_key_is_not_read(
    shared_service: Service, method: str, path: str
) -> None:
    reader = await shared_service.key(scope=Scope.READ, project_id=shared_service.project_id)
    for key, status in (("", 401), ("wrong", 401), (reader, 403)):
        headers = {"Authorization": f"Bearer {key}", **JSON}
        answer = await shared_service.client.request(
            method, path, headers=headers, content=never_asked_for()
        )
        assert answer.status_code == status
        assert answer.headers["Connection"] == "close"


async def test_what_is_no_json_is_401_without_a_key(shared_service: Service) -> None:
    answer = await shared_service.client.post(
        "/traces", content=b"{", headers={"Authorization": "", **JSON}
    )
    assert answer.status_code == 401


async def test_an_address_that_keeps_failing_is_refused_but_not_its_usable_keys(
    sqlite_url: str, settings: Settings
) -> None:
    settings = settings.model_copy(update={"failed_auth_per_minute": 5})
    async for service in serve(sqlite_url, settings):
        assert (await service.client.get("/traces")).status_code == 200
        wrong = {"X-API-Key": "wrong"}
        found = [(await service.client.get("/traces", headers=wrong)).status_code for _ in range(7)]
        assert found == [401] * 5 + [429] * 2
        assert (await service.client.get("/traces")).status_code == 200


async def test_a_body_that_comes_too_slowly_is_408(
    shared_service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request_body, "_GRACE_SECONDS", 0.05)

    async def stalling() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.Event().wait()

    headers = {**JSON, "Content-Length": "100"}
    answer = await shared_service.client.post("/traces", content=stalling(), headers=headers)
    assert answer.status_code == 408


async def test_a_client_that_leaves_in_the_middle_stores_nothing(
    sqlite_service: Service, settings: Settings
) -> None:
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(await receive())

    middleware = request_body.RequestBody(app, limit=MB, memory=MB, measures=ApiMeasures())
    messages = iter(
        [{"type": "http.request", "body": b"{", "more_body": True}, {"type": "http.disconnect"}]
    )

    async def receive() -> Any:
        return next(messages)

    scope = {"type": "http", "headers": [(b"content-length", b"9")], "path": "/", "client": None}

    async def send(message: Any) -> None:
        raise AssertionError("there is nobody to answer")

    await middleware(scope, receive, send)
    assert seen == []


async def test_memory_is_shared_by_projects_and_not_overdrawn() -> None:
    budget = MemoryBudget(100, wait_seconds=0.05)
    async with budget.reserve("a", 50):
        with pytest.raises(Overloaded):
            async with budget.reserve("a", 1):
                pass
        async with budget.reserve("b", 400):
            assert budget.held == 100
            waiting = asyncio.create_task(_hold(budget, "c"))
            await asyncio.sleep(0)
            assert not waiting.done()
        await waiting
    assert budget.held == 0


async def _hold(budget: MemoryBudget, owner: str) -> None:
    async with budget.reserve(owner, 10):
        pass


async def test_without_memory_for_another_body_the_answer_is_503(
    sqlite_url: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request_body, "_READ_WAIT_SECONDS", 0.05)
    began, go_on = asyncio.Event(), asyncio.Event()

    async def slowly() -> AsyncIterator[bytes]:
        yield b" " * MB
        began.set()
        await go_on.wait()
        yield json.dumps(trace_body()).encode()

    settings = settings.model_copy(update={"max_body_memory_bytes": 2 * MB, "max_body_bytes": MB})
    settings = settings.model_copy(update={"max_body_bytes": 2 * MB})
    async for service in serve(sqlite_url, settings):
        first = asyncio.create_task(service.client.post("/traces", content=slowly(), headers=JSON))
        await began.wait()
        second = await service.client.post("/traces", content=b" " * MB, headers=JSON)
        assert (second.status_code, second.headers["Retry-After"]) == (503, "2")
        small = await service.client.post("/traces", json=trace_body())
        assert small.status_code == 202
        go_on.set()
        assert (await first).status_code == 202


@pytest.mark.parametrize("large", [False, True])
async def test_a_large_body_is_read_like_a_small_one(
    sqlite_service: Service, monkeypatch: pytest.MonkeyPatch, large: bool
) -> None:
    if large:
        monkeypatch.setattr(json_body, "MAX_BYTES_ON_LOOP", 0)
    post = sqlite_service.client.post
    made = await post("/traces", json=trace_body(input={"a": [1]}, spans=[]))
    assert made.status_code == 202
    trace_id = made.json()["trace_id"]
    # Only sent fields replace values, so the set of sent fields must survive parsing.
    body = {"trace_id": trace_id, "name": "again", "started_at": "2026-01-01T00:00:00Z"}
    assert (await post("/traces", json=body)).status_code == 202
    held = (await sqlite_service.client.get(f"/traces/{trace_id}")).json()
    assert (held["name"], held["input"]) == ("again", {"a": [1]})
    spans = [{"name": "s", "started_at": "2026-01-01T00:00:00Z"}]
    assert (await post(f"/traces/{trace_id}/spans", json=spans)).status_code == 201
    for content, kind in ((b"{", "json_invalid"), (b"[]", "model_attributes_type")):
        refused = await post("/traces", content=content, headers=JSON)
        assert refused.status_code == 422
        assert refused.json()["detail"][0]["loc"][0] == "body"
        assert kind in refused.json()["detail"][0]["type"]
    refused = await post("/traces", json={"name": "n" * 600, "started_at": "x"})
    assert [one["loc"] for one in refused.json()["detail"]] == [
        ["body", "name"],
        ["body", "started_at"],
    ]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/evaluations/trace-runs", {str(n): 1 for n in range(900_000)}),
        ("/evaluations/trace-runs", {"metrics": [], "filters": {str(n): 1 for n in range(1500)}}),
        ("/evaluations/monitors", {"filters": {str(n): 1 for n in range(200_000)}}),
    ],
)
async def test_a_body_of_unknown_fields_is_refused_in_few_words(
    shared_service: Service, path: str, body: dict[str, Any]
) -> None:
    answer = await shared_service.client.post(path, json=body)
    assert answer.status_code == 422
    assert "more than 1,000 keys" in answer.json()["detail"]


@pytest.mark.parametrize("count", [20, 21, 900])
async def test_at_most_twenty_problems_are_listed_and_the_rest_counted(
    shared_service: Service, count: int
) -> None:
    body = {"metrics": ["task_completion"]} | {f"{n}" + "k" * 500: 1 for n in range(count)}
    answer = await shared_service.client.post("/evaluations/trace-runs", json=body)
    detail = answer.json()["detail"]
    assert (answer.status_code, len(answer.content) < 12_000) == (422, True)
    assert len(detail) == min(count, 21)
    if count > 20:
        assert detail[-1]["msg"] == f"{count - 20} more problems are not listed."


@pytest.mark.parametrize("piece", [b"[],", b"{},", b'{"a":1},'])
async def test_a_body_that_would_take_many_times_its_size_is_refused(
    shared_service: Service, piece: bytes
) -> None:
    start = b'{"name":"n","started_at":"2026-01-01T00:00:00Z","input":['
    body = start + piece * (9 * MB // len(piece)) + b"0]}"
    # The whole body has arrived, so the server need not wait before it answers.
    async with asyncio.timeout(4):
        answer = await shared_service.client.post("/traces", content=body, headers=JSON)
    assert answer.status_code == 413
    assert "too many" in answer.json()["detail"]


async def test_beyond_its_concurrency_the_api_answers_503_and_still_its_health(
    sqlite_url: str, settings: Settings
) -> None:
    settings = settings.model_copy(update={"max_concurrent_requests": 1})
    began, go_on = asyncio.Event(), asyncio.Event()

    async def slowly() -> AsyncIterator[bytes]:
        began.set()
        await go_on.wait()
        yield json.dumps(trace_body()).encode()

    async for service in serve(sqlite_url, settings):
        first = asyncio.create_task(service.client.post("/traces", content=slowly(), headers=JSON))
        await began.wait()
        assert (await service.client.get("/traces")).status_code == 503
        assert (await service.client.get("/health")).status_code == 200
        go_on.set()
        assert (await first).status_code == 202
        assert (await service.client.get("/traces")).status_code == 200
