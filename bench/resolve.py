"""Resolves a run over a million traces: `python -m bench.resolve`.

Fills SQLite in a temporary folder, or an empty `--database`, then resolves a run over all traces
like a worker. Measures the memory of this process, and the longest pause of its event loop, which
also serves judging in a worker.
"""

import argparse
import asyncio
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import uuid4

import psutil
from temporalio.testing import ActivityEnvironment

from activities.payloads import RunRef
from activities.runs import Runs
from bench import filled_store
from bench.claims import Claim, report
from core import migrations
from core.db.database import Database
from core.ids import ProjectId, TargetType
from core.queries import projects, run_rows
from core.queries.run_rows import NewRun
from core.run_spec import RunSpec

MAX_SECONDS = 60.0
MAX_GROWTH_MB = 50.0
MAX_WAIT_SECONDS = 5.0
LOOK_SECONDS = 0.05
MB = 2**20


@dataclass
class Watch:
    """Effects on this process and on other writers."""

    before_mb: float
    peak_mb: float
    pause: float = 0.0
    wait: float = 0.0


@asynccontextmanager
async def watched(database: Database, project_id: ProjectId) -> AsyncIterator[Watch]:
    memory = psutil.Process().memory_info
    watch = Watch(memory().rss / MB, memory().rss / MB)
    over = asyncio.Event()

    async def look() -> None:
        while True:
            began = time.perf_counter()
            await asyncio.sleep(LOOK_SECONDS)
            watch.pause = max(watch.pause, time.perf_counter() - began - LOOK_SECONDS)
            watch.peak_mb = max(watch.peak_mb, memory().rss / MB)

    async def write() -> None:
        """Writes like other runs and incoming traces."""
        while not over.is_set():
            began = time.perf_counter()
            async with database.write() as db:
                await run_rows.create(db, new_run(project_id, 1.0))
            watch.wait = max(watch.wait, time.perf_counter() - began)
            await asyncio.sleep(LOOK_SECONDS)

    looking, writing = asyncio.create_task(look()), asyncio.create_task(write())
    try:
        yield watch
    finally:
        over.set()
        await writing
        looking.cancel()


def new_run(project_id: ProjectId, rate: float) -> NewRun:
    return NewRun(
        spec=RunSpec(
            run_id=uuid4(),
            project_id=project_id,
            target_type=TargetType.TRACE,
            metric_names=["task_completion"],
            model="offline/rules",
            sampling_rate=rate,
        ),
        filters={},
    )


async def resolve(database: Database, project_id: ProjectId, rate: float) -> tuple[int, float]:
    """The number of drawn targets, and the seconds."""
    async with database.write() as db:
        run = await run_rows.create(db, new_run(project_id, rate))
    began = time.perf_counter()
    resolved = await ActivityEnvironment().run(
        Runs(database).resolve_targets, RunRef(project_id, run.id)
    )
    return resolved.targets, time.perf_counter() - began


async def measure(database: Database, traces: int, rate: float) -> list[Claim]:
    await migrations.upgrade(database)
    async with database.write() as db:
        project_id = await projects.ensure(db, "default")
    began = time.perf_counter()
    await filled_store.fill_traces(database, project_id, traces)
    filled = time.perf_counter() - began
    async with watched(database, project_id) as watch:
        targets, seconds = await resolve(database, project_id, rate)
    grown = watch.peak_mb - watch.before_mb
    return [
        Claim(f"storing {traces} traces", f"{filled:.0f} s"),
        Claim("targets drawn", str(targets), f"{traces * rate:.0f}", targets == int(traces * rate)),
        Claim("resolved in", f"{seconds:.1f} s", f"< {MAX_SECONDS:.0f} s", seconds < MAX_SECONDS),
        Claim(
            "memory",
            f"{grown:+.0f} MB, to {watch.peak_mb:.0f} MB",
            f"≤ {MAX_GROWTH_MB:.0f} MB",
            grown <= MAX_GROWTH_MB,
        ),
        Claim("longest pause of the event loop", f"{watch.pause * 1000:.0f} ms"),
        Claim(
            "longest wait of another write",
            f"{watch.wait:.1f} s",
            f"≤ {MAX_WAIT_SECONDS:.0f} s",
            watch.wait <= MAX_WAIT_SECONDS,
        ),
    ]


async def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--traces", type=int, default=1_000_000)
    parser.add_argument("--rate", type=float, default=0.01)
    parser.add_argument("--database", help="URL of an empty database.")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="assay-bench-") as folder:
        database = Database(options.database or f"sqlite:///{folder}/assay.db")
        try:
            found = await measure(database, options.traces, options.rate)
        finally:
            await database.close()
    report("Resolving the targets of a run", found)


if __name__ == "__main__":
    asyncio.run(main())
