"""Speed and memory of exports of scores: `python -m bench.exports`.

One run with `--scores` scores in a SQLite store. One client reads from one API process and discards
the file, one format after the other. The memory of the API process is sampled every 50 ms.
`--folder` keeps the store there, so that a later call with other `--formats` finds the store.
"""

import argparse
import asyncio
import contextlib
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from uuid import UUID

import httpx
import psutil
from rich.console import Console
from rich.table import Table

from bench import scored_runs
from bench.filled_store import METRICS, find
from bench.http import api
from bench.stack import API_KEY
from core import migrations
from core.db.database import Database
from core.queries import projects

_FORMATS: Final = ("jsonl", "csv", "parquet")
_LOOK_SECONDS: Final = 0.05


@dataclass(frozen=True, slots=True)
class Exported:
    seconds: float
    megabytes: float
    first_mb: float
    peak_mb: float


async def export(client: httpx.AsyncClient, run_id: UUID, kind: str, pid: int) -> Exported:
    """`first_mb`: the memory after the first tenth of a second of the export."""
    path = f"/evaluations/trace-runs/{run_id}/scores.{kind}"
    seen: list[float] = []
    watching = asyncio.create_task(_watch(pid, seen))
    began, size = time.perf_counter(), 0
    async with client.stream("GET", path) as answer:
        answer.raise_for_status()
        async for part in answer.aiter_bytes():
            size += len(part)
    seconds = time.perf_counter() - began
    watching.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await watching
    tenth = seen[len(seen) // 10]
    return Exported(seconds, size / 2**20, tenth, max(seen))


async def _watch(pid: int, seen: list[float]) -> None:
    process = psutil.Process(pid)
    while True:
        seen.append(process.memory_info().rss / 2**20)
        await asyncio.sleep(_LOOK_SECONDS)


def _child() -> int:
    """The API process."""
    return int(psutil.Process(os.getpid()).children()[0].pid)


async def filled(url: str, scores: int) -> UUID:
    """The run, which is stored unless the folder has it already."""
    database = Database(url)
    try:
        await migrations.upgrade(database)
        run_id = await find(database)
        if run_id is None:
            async with database.write() as db:
                project_id = await projects.ensure(db, "default")
            run_id = await scored_runs.fill(database, project_id, scores // len(METRICS), seed=1)
        return run_id
    finally:
        await database.close()


async def main(home: Path, scores: int, formats: list[str]) -> None:
    url = f"sqlite:///{home}/assay.db"
    run_id = await filled(url, scores)
    total = scores // len(METRICS) * len(METRICS)
    table = Table("format", "rows per second", "MB", "memory after a tenth", "at most")
    async with api(url, home) as (port, _):
        headers = {"X-API-Key": API_KEY, "X-Project-Name": "default"}
        address = f"http://127.0.0.1:{port}"
        async with httpx.AsyncClient(base_url=address, headers=headers, timeout=600) as client:
            for kind in formats:
                one = await export(client, run_id, kind, _child())
                table.add_row(
                    *(kind, f"{total / one.seconds:,.0f}", f"{one.megabytes:,.0f}"),
                    *(f"{one.first_mb:.0f} MB", f"{one.peak_mb:.0f} MB"),
                )
    Console().print(table)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scores", type=int, default=1_000_000)
    parser.add_argument("--formats", nargs="*", choices=_FORMATS, default=_FORMATS)
    parser.add_argument("--folder", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="assay-bench-") as made:
        asyncio.run(main(given.folder or Path(made), given.scores, given.formats))
