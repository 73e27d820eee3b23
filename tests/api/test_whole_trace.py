"""A large trace is written beside the event loop, as FastAPI writes a small one."""

import asyncio
import threading
from typing import Any

import pytest

from api import whole_trace
from api.routes import sessions
from api.schemas.traces import TraceDetail
from tests.api.conftest import Service

SPANS = [
    {"name": f"step {n} é", "started_at": "2026-01-01T00:00:00Z", "input": {"n": n, "é": [None]},
     "output": "x" * n}
    for n in range(3)
]  # fmt: skip


async def test_a_large_trace_reads_like_a_small_one(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_loop: list[bool] = []
    build = TraceDetail.of

    def watched(stored: Any) -> TraceDetail:
        on_loop.append(threading.current_thread() is threading.main_thread())
        return build(stored)

    trace_id = await service.post_trace(spans=SPANS, tags=["a"])
    monkeypatch.setattr(TraceDetail, "of", watched)
    small = await service.client.get(f"/traces/{trace_id}")
    monkeypatch.setattr(whole_trace, "MAX_SPANS_ON_LOOP", 2)
    large = await service.client.get(f"/traces/{trace_id}")
    changed = await service.client.patch(f"/traces/{trace_id}", json={"metadata": {}})
    assert on_loop == [True, False, False]
    assert len(small.json()["spans"]) == 3
    assert large.content == small.content
    assert large.headers["content-type"] == small.headers["content-type"]
    assert changed.json()["spans"] == small.json()["spans"]


@pytest.mark.parametrize("path", ["/traces/{trace_id}", "/sessions/s"])
async def test_large_reads_of_one_project_take_turns(
    sqlite_service: Service, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    trace_id = await sqlite_service.post_trace(spans=SPANS, session_id="s")
    path = path.format(trace_id=trace_id)
    monkeypatch.setattr(whole_trace, "MAX_BYTES_ON_LOOP", 0)
    monkeypatch.setattr(sessions, "BYTES_PER_READ", 0)
    memory = sqlite_service.stack.large_reads
    monkeypatch.setattr(memory, "_wait_seconds", 0.05)
    project = sqlite_service.project_id
    async with memory.reserve(project, 10**12):
        refused = await sqlite_service.client.get(path)
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "2")
    async with memory.reserve("another project", 10**12):
        assert (await sqlite_service.client.get(path)).status_code == 200
    # The memory is held until the client has the response.
    sent = asyncio.Event()
    chunks = whole_trace._chunks

    async def slow(content: bytes) -> Any:
        await sent.wait()
        async for chunk in chunks(content):
            yield chunk

    monkeypatch.setattr(whole_trace, "_chunks", slow)
    reading = asyncio.create_task(sqlite_service.client.get(f"/traces/{trace_id}"))
    async with asyncio.timeout(5):
        while not memory.held:
            await asyncio.sleep(0)
    assert not reading.done()
    sent.set()
    assert (await reading).status_code == 200
    assert memory.held == 0
