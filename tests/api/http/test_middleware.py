"""Request ids, the access log, the body limit, counters, unexpected errors."""

import json
import logging
from collections.abc import AsyncIterator

import pytest
from sqlalchemy.exc import OperationalError

from api.app import create_app
from core.errors import RateLimited
from core.settings import Settings
from core.telemetry import log_ids
from tests.api.conftest import Service
from tests.factories import trace_body

LIMIT = 10 * 1024 * 1024


@pytest.mark.parametrize("given", ["a", "x" * 128, "id with ~ and spaces"])
async def test_a_clients_request_id_comes_back(shared_service: Service, given: str) -> None:
    for path in ("/health", "/nowhere", "/traces/nonsense"):
        answer = await shared_service.client.get(path, headers={"X-Request-ID": given})
        assert answer.headers["X-Request-ID"] == given


@pytest.mark.parametrize("given", ["", "x" * 129, "a\tb", b"\xc3\xa9", None])
async def test_a_missing_or_odd_request_id_is_replaced(
    shared_service: Service, given: str | None
) -> None:
    headers = {} if given is None else {"X-Request-ID": given}
    first = await shared_service.client.get("/health", headers=headers)
    second = await shared_service.client.get("/health", headers=headers)
    ids = [answer.headers["X-Request-ID"] for answer in (first, second)]
    assert len(set(ids)) == 2
    assert all(len(request_id) == 36 for request_id in ids)


async def test_the_access_log_names_the_request_and_no_query(
    sqlite_service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[str] = []

    class Collect(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            seen.append(str(log_ids.request_id.get()) + " " + record.getMessage())

    logger = logging.getLogger("api.access")
    handler = Collect()
    logger.addHandler(handler)
    caplog.set_level(logging.INFO, "api.access")
    headers = {"X-Request-ID": "mine"}
    try:
        await sqlite_service.client.get("/traces/a%0Ab?name=my-secret", headers=headers)
    finally:
        logger.removeHandler(handler)
    [line] = seen
    assert line.startswith("mine GET /traces/a%0Ab 422 ")
    assert "my-secret" not in line


@pytest.mark.parametrize("size", [LIMIT + 1, 12 * 1024 * 1024])
async def test_a_body_above_the_limit_is_413_before_it_is_parsed(
    shared_service: Service, size: int
) -> None:
    headers = {"Content-Type": "application/json"}

    async def in_chunks() -> AsyncIterator[bytes]:
        for _ in range(size // 65536 + 1):
            yield b"[" * 65536

    for content in (b"[" * size, in_chunks()):
        answer = await shared_service.client.post("/traces", content=content, headers=headers)
        assert answer.status_code == 413
        assert str(LIMIT) in answer.json()["detail"]
        assert answer.headers["X-Request-ID"]


async def test_a_body_of_exactly_the_limit_is_read(sqlite_service: Service) -> None:
    text = json.dumps(trace_body(input="")).encode()
    content = text.replace(b'"input": ""', b'"input": "' + b"x" * (LIMIT - len(text)) + b'"')
    assert len(content) == LIMIT

    async def in_chunks() -> AsyncIterator[bytes]:
        for start in range(0, LIMIT, 1 << 20):
            yield content[start : start + (1 << 20)]

    headers = {"Content-Type": "application/json"}
    for whole in (content, in_chunks()):
        answer = await sqlite_service.client.post("/traces", content=whole, headers=headers)
        assert answer.status_code == 202, answer.text


async def test_an_endless_body_is_not_read_to_its_end(shared_service: Service) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 1
            yield b"x" * (1 << 20)

    answer = await shared_service.client.post("/traces", content=endless())
    assert answer.status_code == 413
    assert sent < 100


async def test_cross_origin_requests_get_no_permission(sqlite_service: Service) -> None:
    headers = {"Origin": "https://elsewhere", "Access-Control-Request-Method": "POST"}
    answer = await sqlite_service.client.options("/traces", headers=headers)
    assert answer.status_code == 405
    answer = await sqlite_service.client.get("/traces", headers=headers)
    assert not [name for name in answer.headers if name.startswith("access-control")]


async def test_measures_tell_routes_apart_and_not_paths(sqlite_service: Service) -> None:
    trace_id = await sqlite_service.post_trace()
    await sqlite_service.client.get(f"/traces/{trace_id}")
    await sqlite_service.client.request("BREW", f"/nowhere/{trace_id}")
    answer = await sqlite_service.client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = answer.text.splitlines()
    assert 'assay_http_requests_total{method="POST",route="/traces",status="202"} 1.0' in lines
    assert (
        'assay_http_requests_total{method="GET",route="/traces/{trace_id}",status="200"} 1.0'
        in lines
    )
    assert 'assay_http_requests_total{method="ANY",route="unmatched",status="404"} 1.0' in lines
    assert "assay_traces_stored_total 1.0" in lines
    assert 'assay_http_request_duration_seconds_count{route="/traces"} 1.0' in lines
    assert 'assay_runs_unfinished{state="waiting"} 0.0' in lines
    assert "# TYPE assay_retention_overdue_seconds gauge" in lines
    assert "assay_request_bodies_handling_bytes 0.0" in lines
    assert trace_id not in answer.text
    assert answer.text.endswith("\n")


async def test_an_unexpected_error_is_500_without_its_words(
    sqlite_service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object, **__: object) -> None:
        raise LookupError("my secret")

    monkeypatch.setattr("core.queries.trace_reads.get", broken)
    answer = await sqlite_service.client.get("/traces/00000000-0000-0000-0000-000000000000")
    assert answer.status_code == 500
    assert "my secret" not in answer.text
    assert answer.headers["X-Request-ID"]


@pytest.mark.parametrize(
    "error",
    [
        ConnectionRefusedError("10.0.0.1"),
        TimeoutError(),
        OperationalError("SELECT 1", {}, Exception("10.0.0.1")),
    ],
)
async def test_without_its_database_the_answer_is_503(
    sqlite_service: Service, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    async def broken(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("core.queries.api_keys.find_usable", broken)
    answer = await sqlite_service.client.get("/traces")
    assert answer.status_code == 503
    assert "database" in answer.json()["detail"]
    assert answer.headers["Retry-After"] == "5"
    assert "10.0.0.1" not in answer.text


async def test_too_many_requests_say_when_to_come_again(
    sqlite_service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def busy(*_: object, **__: object) -> None:
        raise RateLimited("Too many requests.", retry_after=1.2)

    monkeypatch.setattr("core.queries.api_keys.find_usable", busy)
    answer = await sqlite_service.client.get("/traces")
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "2")


async def test_ready_names_the_server_that_is_away(service: Service) -> None:
    assert (await service.client.get("/ready")).json() == {"status": "ready"}
    service.runs.reachable = False
    answer = await service.client.get("/ready")
    assert answer.status_code == 503
    assert "Temporal" in answer.json()["detail"]
    assert (await service.client.get("/health")).json()["status"] == "ok"


async def test_ready_names_the_database(
    sqlite_service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object, **__: object) -> None:
        raise ConnectionRefusedError

    monkeypatch.setattr("core.db.database.Reader.execute", broken)
    answer = await sqlite_service.client.get("/ready")
    assert answer.status_code == 503
    assert "database" in answer.json()["detail"]


def test_the_servers_own_access_log_is_silenced(settings: Settings) -> None:
    access = logging.getLogger("uvicorn.access")
    access.addHandler(logging.NullHandler())
    create_app(settings)
    assert not access.hasHandlers()
