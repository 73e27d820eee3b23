"""Deletion by age beside judging and ingestion: `python -m bench.retention`.

Stores `--traces` old traces, each with a span, two tags and three scores. Then the same load is
measured twice, without a sweep and beside it: runs over `--judged` new traces by three metrics with
the mock judge, and `--posts` POST /traces per second. Everything shares this machine. `--database`
names an empty PostgreSQL database; SQLite when unset.
"""

import argparse
import asyncio
import tempfile
import time
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

from rich.console import Console
from rich.table import Table
from sqlalchemy import text
from temporalio.client import (
    Client,
    ScheduleActionExecutionStartWorkflow,
    ScheduleHandle,
    WorkflowHandle,
)
from temporalio.contrib.pydantic import pydantic_data_converter

from bench import old_rows
from bench.run import METRICS, START, follow, post, trace
from bench.stack import Stack, embedded, mock_judge
from core import clock, migrations
from core.db.database import Database
from core.queries import projects
from core.retention import SweepOutcome
from workflows.retention import RetentionWorkflow

DAYS: Final = 30
LATENCY_SECONDS: Final = "0.05"
LOOK_SECONDS: Final = 0.2
MAX_SWEEP_SECONDS: Final = 3 * 3600
TABLES: Final = ("trace", "span", "trace_tag", "score")

Sweep = WorkflowHandle[RetentionWorkflow, SweepOutcome]


@dataclass
class Load:
    """What the load measured: pairs per second, and milliseconds per POST."""

    pairs_per_second: float = 0.0
    posts_ms: list[float] = field(default_factory=list)

    def percentile(self, percent: int) -> float:
        ordered = sorted(self.posts_ms)
        return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]


class Traces:
    """New traces, each with another number."""

    def __init__(self) -> None:
        self._next = 0

    def take(self, count: int) -> range:
        self._next += count
        return range(self._next - count, self._next)


async def measure(stack: Stack, traces: Traces, judged: int, posts: float) -> Load:
    """Judges the traces while others are posted at a fixed rate."""
    numbers = traces.take(judged)
    for number in numbers:
        (await stack.client.post("/traces", json=trace(number))).raise_for_status()
    load = Load()
    done = asyncio.Event()

    async def send(number: int) -> None:
        began = time.perf_counter()
        (await stack.client.post("/traces", json=trace(number))).raise_for_status()
        load.posts_ms.append(1000 * (time.perf_counter() - began))

    async def keep_posting() -> None:
        async with asyncio.TaskGroup() as group:
            while not done.is_set():
                [number] = traces.take(1)
                group.create_task(send(number))
                await asyncio.sleep(1 / posts)

    posting = asyncio.create_task(keep_posting())
    began = time.perf_counter()
    first, last = (START + timedelta(seconds=n) for n in (numbers[0], numbers[-1] + 1))
    period = {"date_from": first.isoformat(), "date_to": last.isoformat()}
    run = await follow(stack, await post(stack, {"metrics": METRICS, "filters": period}))
    seconds = time.perf_counter() - began
    done.set()
    await posting
    if run["status"] != "COMPLETED" or run["total_targets"] != judged:
        raise RuntimeError(f"The run did not complete: {run}")
    load.pairs_per_second = judged * len(METRICS) / seconds
    return load


async def started(client: Client, schedule: ScheduleHandle) -> Sweep:
    """Starts the sweep and waits until it has deleted rows."""
    await schedule.trigger()
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        for action in (await schedule.describe()).info.running_actions:
            assert isinstance(action, ScheduleActionExecutionStartWorkflow)
            sweep = client.get_workflow_handle_for(RetentionWorkflow.run, action.workflow_id)
            if await sweep.query(RetentionWorkflow.progress):
                return sweep


async def paused_schedule(client: Client) -> ScheduleHandle:
    """The schedule, as soon as a worker has created it; only this benchmark starts a sweep."""
    schedule = client.get_schedule_handle("retention-assay")
    async with asyncio.timeout(60):
        while True:
            try:
                await schedule.pause()
            except Exception:  # noqa: BLE001  it does not exist yet
                await asyncio.sleep(LOOK_SECONDS)
            else:
                return schedule


async def fill(url: str, traces: int) -> float:
    """Seconds that filling took."""
    database = Database(url)
    began = time.perf_counter()
    try:
        await migrations.upgrade(database)
        async with database.write() as db:
            project_id = await projects.ensure(db, "default")
        last = min(clock.now(), START) - timedelta(days=DAYS + 1)
        await old_rows.fill(database, project_id, traces, last=last)
    finally:
        await database.close()
    return time.perf_counter() - began


async def dead_rows(url: str) -> dict[str, Any]:
    """On PostgreSQL: position of the write-ahead log, dead rows and vacuums."""
    database = Database(url)
    try:
        if database.engine.dialect.name == "sqlite":
            return {}
        async with database.read() as db:
            wal = await db.scalar(text("SELECT pg_current_wal_lsn() - '0/0'::pg_lsn"))
            rows = await db.execute(
                text("SELECT relname, n_dead_tup, autovacuum_count FROM pg_stat_user_tables")
            )
            tables = {name: (dead, vacuums) for name, dead, vacuums in rows if name in TABLES}
            size = await db.scalar(text("SELECT pg_database_size(current_database())"))
        return {"log": int(wal or 0), "tables": tables, "size": int(size or 0)}
    finally:
        await database.close()


async def main(options: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory(prefix="assay-bench-") as folder:
        url = options.database or f"sqlite:///{folder}/assay.db"
        seconds = await fill(url, options.traces)
        Console().print(f"{options.traces:,} old traces stored in {seconds:.0f} s")
        settings = {"ASSAY_DATABASE_URL": url, "ASSAY_RETENTION_TRACES_DAYS": str(DAYS)}
        async with (
            mock_judge("--latency", LATENCY_SECONDS) as judge,
            embedded(judge, settings=settings) as stack,
        ):
            client = await Client.connect(stack.temporal, data_converter=pydantic_data_converter)
            schedule = await paused_schedule(client)
            traces = Traces()
            await measure(stack, traces, options.judged, options.posts)  # warms up
            without = await measure(stack, traces, options.judged, options.posts)
            before = await dead_rows(url)
            triggered = clock.now()
            sweep = await started(client, schedule)
            beside = await measure(stack, traces, options.judged, options.posts)
            if (await sweep.describe()).close_time:
                Console().print("The sweep ended before the load; store more traces.")
            async with asyncio.timeout(MAX_SWEEP_SECONDS):
                outcome = await sweep.result()
            described = await sweep.describe()
            assert described.close_time is not None
            took = (described.close_time - triggered).total_seconds()
            after = await dead_rows(url)
        show(options.judged, (without, beside), outcome, took)
        if after:
            show_postgres(before, after, outcome)


def show(judged: int, loads: tuple[Load, Load], outcome: SweepOutcome, seconds: float) -> None:
    table = Table("", "without a sweep", "beside the sweep")
    table.add_row(
        f"{judged} traces × {len(METRICS)}, pairs per second",
        *(f"{load.pairs_per_second:.0f}" for load in loads),
    )
    for percent in (50, 95, 99):
        cells = (f"{load.percentile(percent):.0f} ms" for load in loads)
        table.add_row(f"POST /traces, p{percent}", *cells)
    console = Console()
    console.print(table)
    deleted = outcome.deleted.get("traces", 0)
    console.print(
        f"The sweep deleted {deleted:,} traces in {seconds:.0f} s, {deleted / seconds:,.0f} per "
        f"second ({7 * deleted / seconds:,.0f} rows). Its longest transaction took "
        f"{1000 * outcome.longest_seconds:.0f} ms."
    )


def show_postgres(before: dict[str, Any], after: dict[str, Any], outcome: SweepOutcome) -> None:
    deleted = max(1, outcome.deleted.get("traces", 0))
    log = after["log"] - before["log"]
    Console().print(
        f"Write-ahead log: {log / deleted:,.0f} bytes per trace. Size of the database: "
        f"{before['size'] / 1e6:,.0f} MB before, {after['size'] / 1e6:,.0f} MB after."
    )
    table = Table("table", "dead rows", "automatic vacuums during the sweep")
    for name in TABLES:
        dead, vacuums = after["tables"][name]
        table.add_row(name, f"{dead:,}", str(vacuums - before["tables"][name][1]))
    Console().print(table)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--traces", type=int, default=50_000)
    parser.add_argument("--judged", type=int, default=300)
    parser.add_argument("--posts", type=float, default=20.0, help="POST /traces per second.")
    parser.add_argument("--database", help="URL of an empty PostgreSQL database.")
    asyncio.run(main(parser.parse_args()))
