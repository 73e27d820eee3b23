"""Rates and latencies of one API process: `python -m bench.http`.

Measures ingestion over 16 connections, then every list and statistic over a filled database. Client
and database share this machine. `--database` names a PostgreSQL or SQLite database to fill; the
default is SQLite in a temporary folder. Needs no Temporal.
"""

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
from rich.console import Console
from rich.table import Table

from api.cli.jsonlines import JsonLines
from bench import filled_store
from bench.http_load import Answers, request, send
from bench.http_reads import depths, figures, lists
from bench.stack import API_KEY, ROOT
from core import json_codec
from core.db.database import Database
from core.embedded.ports import free_port
from core.filters import TraceFilters
from core.ids import ProjectId, TargetType
from core.queries import projects, run_rows, run_sampling
from core.queries.run_rows import NewRun
from core.run_spec import RunSpec

SIDE = {"X-API-Key": API_KEY}
JSON = SIDE | {"Content-Type": "application/json"}
REPEATS = 40
REPEATS_IN_THE_DEEP = 5
RESOLVED = 100_000


def small_trace() -> dict[str, Any]:
    started = filled_store.LAST.isoformat()
    span = {"name": "chat", "kind": "LLM", "started_at": started, "output": "It leaves tomorrow."}
    return {
        "trace_id": str(uuid4()),
        "name": "small",
        "input": "Where is my order?",
        "output": "It leaves tomorrow.",
        "started_at": started,
        "spans": [span],
    }


def conversations(path: Path, count: int) -> list[dict[str, Any]]:
    """The traces of the file repeatedly, each time with new ids."""
    with JsonLines(str(path)) as lines:
        bodies = [json_codec.loads(line) for _, line in lines]
    return [bodies[n % len(bodies)] | {"trace_id": str(uuid4())} for n in range(count)]


@asynccontextmanager
async def api(database_url: str, home: Path) -> AsyncIterator[tuple[int, float]]:
    """One API process: its port, and the seconds to its first answer."""
    port = free_port()
    log = home / "api.log"
    environment = {k: v for k, v in os.environ.items() if not k.startswith("ASSAY_")} | {
        "ASSAY_HOME": str(home),
        "ASSAY_DATABASE_URL": database_url,
        "ASSAY_BOOTSTRAP_API_KEY": API_KEY,
    }
    began = time.perf_counter()
    with log.open("wb") as out:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "uvicorn", "api.app:create_app", "--factory"),
            *("--app-dir", str(ROOT), "--loop", "uvloop", "--no-access-log", "--port", str(port)),
            env=environment,
            cwd=home,
            stdout=out,
            stderr=out,
        )
    try:
        await _answering(port, process, log)
        yield port, time.perf_counter() - began
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def _answering(port: int, process: asyncio.subprocess.Process, log: Path) -> None:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        while True:
            try:
                (await client.get("/health")).raise_for_status()
            except httpx.ConnectError:
                if process.returncode is not None:
                    raise RuntimeError(f"The API did not start:\n{log.read_text()}") from None
                await asyncio.sleep(0.02)
            else:
                return


async def ingest(port: int, bodies: list[dict[str, Any]]) -> Answers:
    """Posts all traces, then checks that each can be read."""
    posts = [request("POST", "/traces", JSON, json_codec.dumps(body).encode()) for body in bodies]
    answers = await send(port, posts, status=202)
    reads = [
        request("GET", f"/traces/{body['trace_id']}", SIDE)
        for body in bodies[:: len(bodies) // 100 or 1]
    ]
    await send(port, reads, status=200)
    return answers


async def read(
    port: int, paths: Mapping[str, str], *, repeats: int = REPEATS
) -> dict[str, Answers]:
    """Sends requests sequentially over one connection."""
    found = {}
    for label, path in paths.items():
        content = request("GET", path, SIDE)
        found[label] = await send(port, [content] * repeats, status=200, connections=1)
    return found


async def resolve(database: Database, project_id: ProjectId, traces: int) -> float:
    """The seconds to freeze this number of the newest traces."""
    since = filled_store.LAST - filled_store.SPAN_OF_TIME * min(1.0, RESOLVED / traces)
    filters = TraceFilters(date_from=since).model_dump(mode="json", exclude_none=True)
    new = NewRun(
        spec=RunSpec(
            run_id=uuid4(),
            project_id=project_id,
            target_type=TargetType.TRACE,
            metric_names=["task_completion"],
            model="offline/rules",
        ),
        filters=filters,
    )
    async with database.write() as db:
        run = await run_rows.create(db, new)
        began = time.perf_counter()
        await run_sampling.freeze(db, run, await run_sampling.draw(db, run))
    return time.perf_counter() - began


def _times(answers: Answers) -> str:
    return f"p50 {answers.percentile(50):.0f} ms, p95 {answers.percentile(95):.0f} ms"


def show(title: str, rows: Mapping[str, str]) -> None:
    table = Table(title=title, show_header=False)
    for name, value in rows.items():
        table.add_row(name, value)
    Console(width=130).print(table)


async def measure_ingestion(port: int, options: argparse.Namespace) -> None:
    rows = {}
    kinds = {"1 span": [small_trace() for _ in range(options.posts)]}
    if options.conversations:
        kinds["real conversations"] = conversations(options.conversations, options.posts)
    for name, bodies in kinds.items():
        await ingest(port, bodies[: len(bodies) // 10])  # Warm-up.
        answers = await ingest(port, bodies[len(bodies) // 10 :])
        rows[name] = f"{answers.per_second:.0f}/s, {_times(answers)}"
    show("Ingestion, acknowledged and readable, 16 connections", rows)


async def measure_reading(port: int, database_url: str, options: argparse.Namespace) -> None:
    database = Database(database_url)
    try:
        async with database.write() as db:
            project_id = await projects.ensure(db, "default")
        began = time.perf_counter()
        run_id = await filled_store.find(database) or await filled_store.fill(
            database, project_id, options.traces
        )
        show("The store", {"filled in": f"{time.perf_counter() - began:.0f} s"})
        pages = lists(run_id, await filled_store.trace_of(database, run_id))
        for title, paths, repeats in (
            ("Lists", pages, REPEATS),
            ("Deep in a list", depths(options.traces), REPEATS_IN_THE_DEEP),
            ("A month in figures", figures(), REPEATS),
        ):
            found = await read(port, paths, repeats=repeats)
            store = f"{options.traces} traces, {3 * options.traces} scores of traces"
            rows = {label: _times(answers) for label, answers in found.items()}
            show(f"{title}, {store}", rows)
        seconds = await resolve(database, project_id, options.traces)
        show("Runs", {f"resolving {min(RESOLVED, options.traces)} matches": f"{seconds:.1f} s"})
    finally:
        await database.close()


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--conversations", type=Path, help="JSON Lines of what POST /traces takes.")
    parser.add_argument("--posts", type=int, default=2000)
    parser.add_argument(
        "--traces", type=int, default=100_000, help="To fill the store with; 0: none."
    )
    parser.add_argument("--database", help="URL of an empty database, or of one filled before.")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="assay-bench-") as folder:
        home = Path(folder)
        database_url = options.database or f"sqlite:///{home}/assay.db"
        async with api(database_url, home) as (port, seconds):
            show("The API", {"start to first answer": f"{seconds:.1f} s"})
            if options.posts:
                await measure_ingestion(port, options)
            if options.traces:
                await measure_reading(port, database_url, options)


if __name__ == "__main__":
    asyncio.run(main())
