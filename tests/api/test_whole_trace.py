"""A large trace is written beside the event loop, as FastAPI writes a small one."""

import threading
from typing import Any

import pytest

from api import whole_trace
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
