"""Time and memory of the comparison of two large runs: `python -m bench.comparisons`.

Two runs with `--pairs` pairs each, by three metrics, in a SQLite store. A separate process compares
them, as a worker does.
"""

import argparse
import asyncio
import multiprocessing
import resource
import tempfile
import time
from pathlib import Path
from uuid import UUID

from rich.console import Console
from rich.table import Table

from activities.comparing import computing
from activities.comparing.plan import ComparisonOptions, plan
from bench import scored_runs
from bench.filled_store import METRICS
from core import migrations
from core.db.database import Database
from core.ids import ProjectId
from core.queries import projects

Compared = tuple[float, float, list[str]]
"""Seconds, the process's peak memory in MB, and the verdicts."""


async def compare(url: str, project_id: ProjectId, runs: tuple[UUID, UUID]) -> Compared:
    database = Database(url)
    began = time.perf_counter()
    asked = ComparisonOptions(baseline=runs[0], candidate=runs[1], alpha=0.05, margin=0.02)
    async with database.read() as db:
        made = await plan(db, project_id, asked)
    result = await computing.result_of(database, made)
    seconds = time.perf_counter() - began
    await database.close()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return seconds, peak, [one["verdict"] for one in result["metrics"]]


def in_process(url: str, project_id: ProjectId, runs: tuple[UUID, UUID]) -> Compared:
    return asyncio.run(compare(url, project_id, runs))


async def main(sizes: list[int]) -> None:
    table = Table("pairs per run", "seconds", "peak memory", "verdicts")
    spawn = multiprocessing.get_context("spawn")
    for pairs in sizes:
        with tempfile.TemporaryDirectory(prefix="assay-bench-") as folder:
            url = f"sqlite:///{Path(folder)}/assay.db"
            database = Database(url)
            await migrations.upgrade(database)
            async with database.write() as db:
                project_id = await projects.ensure(db, "default")
            targets = pairs // len(METRICS)
            runs = (
                await scored_runs.fill(database, project_id, targets, seed=1),
                await scored_runs.fill(database, project_id, targets, seed=2, shift=0.01),
            )
            await database.close()
            with spawn.Pool(1) as pool:
                seconds, peak, verdicts = pool.apply(in_process, (url, project_id, runs))
            table.add_row(
                *(f"{targets * len(METRICS):,}", f"{seconds:.1f}", f"{peak:.0f} MB"),
                ", ".join(verdicts),
            )
    Console().print(table)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, nargs="+", default=[60_000, 300_000])
    asyncio.run(main(parser.parse_args().pairs))
