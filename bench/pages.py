"""Latencies of dashboard pages over a large database: `python -m bench.pages`.

Requests every page sequentially over one connection, and before each request `/health` of the same
process as the floor. `--database` names a SQLite or PostgreSQL database: an empty one is filled,
and one that was filled earlier is used again. The default is SQLite in a temporary folder. Needs
no Temporal.
"""

import argparse
import asyncio
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from uuid import UUID

from rich.console import Console
from rich.table import Table
from sqlalchemy import select
from sqlmodel import col

from bench import page_store
from bench.filled_store import METRICS
from bench.http import api
from core import migrations
from core.db.database import Database
from core.db.tables import Score
from core.ids import ProjectId, Scope
from core.queries import api_keys, dashboard_sessions, projects

_REPEATS: Final = 40
_METRIC: Final = METRICS[0]


@dataclass(slots=True)
class Asked:
    """Milliseconds to the first byte of each response, and the size of the last response body.

    `floor_ms` are those of `/health`, asked before each request of the page.
    """

    times_ms: list[float] = field(default_factory=list)
    floor_ms: list[float] = field(default_factory=list)
    body_bytes: int = 0

    def percentile(self, percent: int) -> float:
        return _percentile(self.times_ms, percent)

    def floor(self, percent: int) -> float:
        return _percentile(self.floor_ms, percent)


def _percentile(times: list[float], percent: int) -> float:
    ordered = sorted(times)
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]


async def ask(port: int, path: str, cookie: str, times: int) -> Asked:
    """Raises RuntimeError for another status than 200."""
    connection = await asyncio.open_connection("127.0.0.1", port)
    asked = Asked()
    for _ in range(times):
        floor, _ = await _first_byte(connection, "/health", cookie)
        taken, asked.body_bytes = await _first_byte(connection, path, cookie)
        asked.floor_ms.append(floor)
        asked.times_ms.append(taken)
    connection[1].close()
    return asked


async def _first_byte(
    connection: tuple[asyncio.StreamReader, asyncio.StreamWriter], path: str, cookie: str
) -> tuple[float, int]:
    """Milliseconds to the first byte, and the size of the body."""
    reader, writer = connection
    lines = [f"GET {path} HTTP/1.1", "Host: 127.0.0.1", f"Cookie: {cookie}"]
    request = "\r\n".join([*lines, "Accept-Encoding: gzip", "\r\n"]).encode()
    began = time.perf_counter()
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    taken = 1000 * (time.perf_counter() - began)
    length = int(head.lower().partition(b"content-length:")[2].partition(b"\r")[0])
    body = await reader.readexactly(length)
    if int(head.split(b" ", 2)[1]) != 200:
        raise RuntimeError(f"{path} was answered {head[:40]!r} {body[:300]!r}")
    return taken, length


def pages(runs: Mapping[str, UUID], score: Score) -> dict[str, str]:
    """Every page that only reads, by its name in the table."""
    large = runs["large"]
    return {
        **{f"overview, {since}": f"?since={since}" for since in ("24h", "14d", "90d")},
        "runs": "/runs",
        "runs named": "/runs?name=other",
        **{f"run of {3 * page_store.TARGETS[name]} pairs": f"/runs/{runs[name]}" for name in runs},
        "run by tag, large": f"/runs/{large}?by=tag",
        "scores of the large run": f"/scores?run={large}",
        "its lowest": f"/scores?run={large}&metric={_METRIC}&sort=value",
        "its failed": f"/scores?run={large}&state=failed",
        "all scores": "/scores",
        "scores of 90 days, lowest first": f"/scores?metric={_METRIC}&since=90d&sort=value",
        "score": f"/scores/{score.id}",
        "score within a list": f"/scores/{score.id}?run={large}&metric={_METRIC}&offset=10",
        "score, as the judge read it": f"/scores/{score.id}?view=judge",
        "traces": "/traces",
        **{f"traces, by {key}": f"/traces?sort={key}" for key in ("latency", "name", "status")},
        "traces, page 400": "/traces?offset=10000",
        "traces named": "/traces?name=booking",
        "traces of a tag": "/traces?tag=team-7",
        "traces of a user": "/traces?user=user-7",
        "trace": f"/traces/{score.target_id}",
        "sessions": "/sessions",
        **{
            f"sessions, by {key}": f"/sessions?sort={key}"
            for key in ("trace_count", "latency", "cost")
        },
        "sessions of a tag": "/sessions?tag=team-7",
        "compare, choice": "/compare",
        "compare, large": f"/compare?a={runs['middle']}&b={large}",
        "compare, items": f"/compare/items?a={runs['middle']}&b={large}&o=lost",
        "session": "/sessions/session-7",
        "monitors": "/monitors",
        "metrics": "/metrics",
        "metric": f"/metrics/{_METRIC}",
        "judges": "/judges",
        "settings": "/settings",
        **{f"settings, by {by}": f"/settings?by={by}" for by in ("day", "run", "metric")},
        "search by name": "/search?q=booking",
        "search for nothing": "/search?q=nothing-is-called-so",
        "search by id": f"/search?q={str(score.id)[:8]}",
        "new run": "/runs/new",
    }


async def cookie_of(database: Database, project_id: ProjectId) -> str:
    """The cookie of a signed-in browser."""
    async with database.write() as db:
        key, _ = await api_keys.create(
            db, api_keys.NewKey("pages", scope=Scope.ADMIN, project_id=project_id)
        )
        secret = await dashboard_sessions.open_session(db, key.id)
    return f"assay_session={secret}"


async def prepare(database: Database, traces: int) -> tuple[dict[str, str], str]:
    """Fills an empty database; returns its pages and a cookie."""
    await migrations.upgrade(database)
    async with database.write() as db:
        project_id = await projects.ensure(db, "default")
    runs = await page_store.find(database) or await page_store.fill(database, project_id, traces)
    async with database.read() as db:
        found = await db.scalars(
            select(Score).where(col(Score.eval_run_id) == runs["large"]).limit(1)
        )
        score = found.one()
    return pages(runs, score), await cookie_of(database, project_id)


async def measure(port: int, paths: Mapping[str, str], cookie: str, repeats: int) -> Table:
    heads = ("page", "first", "p50", "p95", "floor p50", "floor p95", "KB gzipped")
    table = Table(*heads, title="Milliseconds to first byte")
    slowest = slowest_floor = 0.0
    for name, path in paths.items():
        one = await ask(port, f"/ui/default{path}", cookie, repeats)
        times = (one.times_ms[0], *(one.percentile(of) for of in (50, 95)))
        floors = (one.floor(50), one.floor(95))
        shown = (f"{ms:.1f}" for ms in (*times, *floors))
        table.add_row(name, *shown, f"{one.body_bytes / 1000:.1f}")
        slowest, slowest_floor = max(slowest, times[-1]), max(slowest_floor, floors[-1])
    table.caption = f"slowest p95: {slowest:.0f} ms, of the floor {slowest_floor:.0f} ms"
    return table


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--traces", type=int, default=100_000, help="To fill an empty store with.")
    parser.add_argument("--database", help="URL of an empty database, or of one filled before.")
    parser.add_argument("--repeats", type=int, default=_REPEATS)
    parser.add_argument("--only", default="", help="Pages whose names contain this.")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="assay-bench-") as folder:
        home = Path(folder)
        database_url = options.database or f"sqlite:///{home}/assay.db"
        database = Database(database_url)
        try:
            paths, cookie = await prepare(database, options.traces)
        finally:
            await database.close()
        paths = {name: path for name, path in paths.items() if options.only in name}
        async with api(database_url, home) as (port, _):
            await ask(port, "/ui/default/settings", cookie, 3)  # Loads what the first page loads.
            table = await measure(port, paths, cookie, options.repeats)
    Console(width=110).print(table)


if __name__ == "__main__":
    asyncio.run(main())
