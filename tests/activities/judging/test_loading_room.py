"""Large traces take turns in the memory of a worker."""

import asyncio
from typing import Any, cast
from uuid import UUID, uuid4

import pytest

from activities.judging import loading_room
from activities.judging.trace_processes import LARGE_BYTES, TraceProcesses
from activities.judging.traces import TraceCache
from core.db.database import Database
from core.errors import NoPermit, NotFound
from core.ids import ProjectId, RunId
from core.queries import trace_loading, trace_writes
from core.trace_input import TraceBody
from core.trace_model import Trace
from evals.transcript.transcript import Transcript

RUN = RunId(uuid4())
BUDGET = 10_000


class SameProcess:
    """Reads traces without a process."""

    async def transcript(self, trace: Trace, input_tokens: int) -> Transcript:
        if trace.name == "broken":
            raise RuntimeError
        return Transcript(trace)


@pytest.fixture
def cache(database: Database, monkeypatch: pytest.MonkeyPatch) -> TraceCache:
    monkeypatch.setattr(loading_room, "MAX_LOADED_BYTES", 2 * LARGE_BYTES)
    monkeypatch.setattr(loading_room, "MAX_WAIT_SECONDS", 0.2)
    monkeypatch.setattr(loading_room, "_LOOK_SECONDS", 0.01)
    return TraceCache(database, cast(TraceProcesses, SameProcess()))


async def stored(
    database: Database, project_id: ProjectId, size: int = LARGE_BYTES + 1, **more: Any
) -> UUID:
    body = {"name": "t", "started_at": "2026-09-01T09:00:00Z", "output": "x" * size} | more
    trace = TraceBody.model_validate(body)
    async with database.write() as db:
        await trace_writes.store_all(db, [(project_id, trace)])
    return UUID(str(trace.trace_id))


async def test_a_large_trace_waits_until_another_is_done(
    database: Database,
    project_id: ProjectId,
    cache: TraceCache,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first, second, small = [
        await stored(database, project_id, size) for size in (300_000, 300_000, 1_000)
    ]
    held = await cache.load(project_id, RUN, first, BUDGET)
    # Whoever judges the same trace shares it, and a small trace always has room.
    assert await cache.load(project_id, RUN, first, BUDGET) is held
    await cache.load(project_id, RUN, small, BUDGET)
    with pytest.raises(NoPermit, match="as many large traces as its memory allows"):
        await cache.load(project_id, RUN, second, BUDGET)
    # A caller that holds a trace does not wait for another.
    assert (await cache.load(project_id, RUN, second, BUDGET, may_wait=False)).trace.id == second
    monkeypatch.setattr(loading_room, "MAX_WAIT_SECONDS", 10)
    waiting = asyncio.create_task(cache.load(project_id, RUN, second, BUDGET))
    await asyncio.sleep(0)
    del held
    async with asyncio.timeout(20):
        assert (await waiting).trace.id == second


async def test_a_trace_larger_than_the_room_is_read_alone(
    database: Database, project_id: ProjectId, cache: TraceCache
) -> None:
    trace_id = await stored(database, project_id, 3 * LARGE_BYTES)
    assert (await cache.load(project_id, RUN, trace_id, BUDGET)).trace.id == trace_id


async def test_a_trace_that_cannot_be_read_takes_no_room(
    database: Database,
    project_id: ProjectId,
    cache: TraceCache,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    broken = await stored(database, project_id, 300_000, name="broken")
    for _ in range(3):
        with pytest.raises(RuntimeError):
            await cache.load(project_id, RUN, broken, BUDGET)

    async def gone(*_: object) -> dict[UUID, Trace]:
        return {}

    with monkeypatch.context() as patch:
        patch.setattr(trace_loading, "load", gone)
        with pytest.raises(NotFound):
            await cache.load(project_id, RUN, broken, BUDGET)
    whole = await stored(database, project_id, 300_000)
    await cache.load(project_id, RUN, whole, BUDGET)
