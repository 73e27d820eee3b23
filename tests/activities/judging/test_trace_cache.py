"""A trace is loaded once for the metrics that judge it one after the other."""

import asyncio
import gc
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID, uuid4
from weakref import ref

import pytest

from activities.judging.trace_processes import TraceProcesses
from activities.judging.traces import MAX_KEPT_CHARACTERS, TraceCache
from core.db.database import Database, Reader
from core.ids import ProjectId, RunId
from core.queries import trace_loading, trace_writes
from core.trace_input import TraceBody
from core.trace_model import Trace
from evals.transcript.transcript import Transcript

RUN = RunId(uuid4())


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[UUID]:
    """The ids of every trace that was read, in order."""
    seen: list[UUID] = []
    load = trace_loading.load

    async def counted(
        db: Reader, project_id: ProjectId, ids: Sequence[UUID]
    ) -> Mapping[UUID, Trace]:
        seen.extend(ids)
        return await load(db, project_id, ids)

    monkeypatch.setattr(trace_loading, "load", counted)
    return seen


async def stored(database: Database, project_id: ProjectId, output: str) -> UUID:
    body: dict[str, Any] = {"name": "t", "started_at": "2026-09-01T09:00:00Z", "output": output}
    trace = TraceBody.model_validate(body)
    async with database.write() as db:
        await trace_writes.store_all(db, [(project_id, trace)])
    return UUID(str(trace.trace_id))


async def judged(
    cache: TraceCache, project_id: ProjectId, trace_id: UUID, budget: int
) -> "ref[Transcript]":
    transcript: Transcript = await cache.load(project_id, RUN, trace_id, budget)
    transcript.prompt(budget)
    cache.keep(project_id, RUN, transcript)
    return ref(transcript)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("output", "budget", "reads"),
    [
        ("Done.", 10_000, 1),
        ("word " * MAX_KEPT_CHARACTERS, 1_000_000, 2),
        ("word " * 20_000, 1_000, 2),
    ],
    ids=["a small one", "a large one", "one that was shortened"],
)
async def test_only_a_small_trace_is_kept_between_two_metrics(
    database: Database,
    project_id: ProjectId,
    loads: list[UUID],
    output: str,
    budget: int,
    reads: int,
) -> None:
    async with TraceProcesses() as processes:
        cache = TraceCache(database, processes)
        trace_id = await stored(database, project_id, output)
        for _ in range(2):
            left = await judged(cache, project_id, trace_id, budget)
            # The finished load, or its thread, drops its reference a moment later.
            async with asyncio.timeout(10):
                while reads > 1 and left() is not None:
                    gc.collect()
                    await asyncio.sleep(0.01)
    assert loads == [trace_id] * reads
