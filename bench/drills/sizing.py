"""Measures what sizes depend on: calls and memory of a worker, connections, load of Temporal."""

import asyncio
import json
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final

import asyncpg

from bench.claims import RUNS, Claim, calls
from bench.drills.installation import Installation, installation, until
from bench.drills.load import Load, none, stats
from bench.drills.postgres import PostgresInstance, postgres
from bench.stack import control, mock_judge

MAX_CONNECTIONS: Final = 20
"""Of one process: it keeps 10 and may open 10 more."""
SAMPLE_SECONDS: Final = 0.2
READERS: Final = 40
CALLS_PER_MINUTE: Final = (600, 6_000, 60_000)
USERS: Final = ("api", "worker-1")
A_BLOCK: Final = 10_000
"""Traces between the numbers of two loads."""


@dataclass(frozen=True, slots=True)
class SizingSize:
    """One worker with `slots` open calls, for about `seconds` per latency."""

    slots: int = 50
    seconds: float = 30.0
    idle_seconds: float = 15.0
    latencies: tuple[float, ...] = (1.0, 5.0)
    partitions: tuple[int, ...] = (1, 4)


DEFAULT: Final = SizingSize()
SMALL: Final = SizingSize(
    slots=10, seconds=6.0, idle_seconds=3.0, latencies=(1.0,), partitions=(1,)
)


@dataclass
class Peaks:
    """Connections to PostgreSQL and memory in MB, by process."""

    connections: dict[str, int] = field(default_factory=dict)
    memory: dict[str, float] = field(default_factory=dict)


async def drill(size: SizingSize) -> list[Claim]:
    found: list[Claim] = []
    for partitions in size.partitions:
        async with (
            mock_judge() as judge,
            postgres() as server,
            installation(judge, server.url(), _settings(size)) as installed,
        ):
            await _start(installed, server, partitions)
            if partitions == size.partitions[0]:
                idle = await _idle(installed, size.idle_seconds)
                found.append(
                    Claim("idle: share of a core, worker and Temporal", _both(idle, 100, "%"))
                )
                for latency in size.latencies:
                    found += await _latency(installed, server, idle, size, latency)
                found += await _shards(installed)
            found.append(await _partitions(installed, size, partitions))
    return found


def _settings(size: SizingSize) -> dict[str, str]:
    return {"ASSAY_JUDGE_CONCURRENCY": str(size.slots)}


async def _start(installed: Installation, server: PostgresInstance, partitions: int) -> None:
    """Each process has its own user of PostgreSQL, so that its connections can be counted."""
    installed.partitions = partitions
    await installed.start("temporal")
    for name in USERS:
        await server.create_user(name)
        await installed.start(name, {"ASSAY_DATABASE_URL": server.url(user=name)})


async def _idle(installed: Installation, seconds: float) -> dict[str, float]:
    """The processor time per second of processes that wait, by role."""
    before = installed.stack.cpu_seconds()
    await asyncio.sleep(seconds)
    after = installed.stack.cpu_seconds()
    return {role: (after[role] - before[role]) / seconds for role in after}


def _both(values: dict[str, float], factor: float, unit: str) -> str:
    worker, temporal = (factor * values[role] for role in ("worker-1", "temporal"))
    return f"{worker:.1f} {unit}, {temporal:.1f} {unit}"


async def _latency(
    installed: Installation,
    server: PostgresInstance,
    idle: dict[str, float],
    size: SizingSize,
    latency: float,
) -> list[Claim]:
    """Judges with all slots in use, while clients read."""
    stack = installed.stack
    await control(stack, latency=latency, reset=True)
    load = _load(installed, int(size.slots * size.seconds / latency), block=int(latency))
    peaks = Peaks()
    await load.begin()
    async with _watched(installed, server, peaks), _readers(installed):
        await until(lambda: _is_judging(installed))
        before, began = stack.cpu_seconds(), asyncio.get_running_loop().time()
        (run,) = await load.ended()
    seconds = asyncio.get_running_loop().time() - began
    after, asked = stack.cpu_seconds(), await calls(stack)
    cost = {role: (after[role] - before[role] - idle[role] * seconds) / asked for role in after}
    open_calls = (await stats(stack))["peak_concurrency"]
    title = f"calls of {latency:g} s"
    return [
        Claim(
            f"{title}: calls per minute of one worker, {open_calls} open",
            f"{60 * asked / seconds:.0f}",
        ),
        Claim(
            f"{title}: processor time per call beyond idle, worker and Temporal",
            _both(cost, 1000, "ms"),
        ),
        Claim(
            f"{title}: memory of worker and API, peak",
            f"{peaks.memory['worker-1']:.0f} MB, {peaks.memory['api']:.0f} MB",
        ),
        *(
            _connections(f"{title}: connections of {name}, peak", peaks.connections[name])
            for name in USERS
        ),
        *(
            _workers(title, per_minute, latency, cost["worker-1"])
            for per_minute in CALLS_PER_MINUTE
        ),
        none(f"{title}: failed pairs", run["failed_count"]),
    ]


async def _is_judging(installed: Installation) -> bool:
    return bool((await stats(installed.stack))["in_flight"])


def _load(installed: Installation, traces: int, *, block: int) -> Load:
    """Its traces are numbered from the block on, so that no other load has judged them."""
    return Load(installed.stack, traces, every=0, began=math.ceil(block * A_BLOCK / traces))


def _connections(what: str, count: int) -> Claim:
    return Claim(what, str(count), f"≤ {MAX_CONNECTIONS}", count <= MAX_CONNECTIONS)


def _workers(title: str, per_minute: int, latency: float, cost: float) -> Claim:
    """By open calls (100 per worker), and by processor time (a core per worker)."""
    by_calls, by_time = workers_for(per_minute, latency, cost)
    return Claim(
        f"{title}: workers for {per_minute} per minute (arithmetic)",
        f"{max(by_calls, by_time)} ({by_calls} by open calls, {by_time} by processor time)",
    )


def workers_for(
    per_minute: int, latency: float, cost: float, *, slots: int = 100
) -> tuple[int, int]:
    """Workers by open calls of `slots` each, and by `cost` seconds of a core per call."""
    per_second = per_minute / 60
    return math.ceil(per_second * latency / slots), math.ceil(per_second * cost)


async def _shards(installed: Installation) -> list[Claim]:
    """The development server cannot change their number."""
    said = await installed.temporal("operator", "cluster", "describe", "--output", "json")
    return [Claim("history shards of the development server", str(shards_in(json.loads(said))))]


def shards_in(cluster: dict[str, Any]) -> int:
    found: int = cluster.get("historyShardCount", 0)
    return found


async def _partitions(installed: Installation, size: SizingSize, partitions: int) -> Claim:
    """As many short calls as two cores can make."""
    stack = installed.stack
    await control(stack, latency=0.1, reset=True)
    load = _load(installed, int(size.slots * size.seconds / 2), block=10)
    await load.begin()
    await until(lambda: _is_judging(installed))
    before, began = stack.cpu_seconds(), asyncio.get_running_loop().time()
    await load.ended()
    seconds = asyncio.get_running_loop().time() - began
    asked = await calls(stack)
    cost = (stack.cpu_seconds()["temporal"] - before["temporal"]) / asked
    return Claim(
        f"partitions of each task queue: {partitions}; calls of 0.1 s",
        f"{asked / seconds:.0f} per second; {1000 * cost:.1f} ms of Temporal per call",
    )


@asynccontextmanager
async def _watched(
    installed: Installation, server: PostgresInstance, peaks: Peaks
) -> AsyncIterator[None]:
    connection = await asyncpg.connect(server.url())

    async def watch() -> None:
        while True:
            rows = await connection.fetch(
                "SELECT usename, count(*) FROM pg_stat_activity "
                "WHERE usename IS NOT NULL GROUP BY 1"
            )
            for name, count in rows:
                peaks.connections[name] = max(peaks.connections.get(name, 0), count)
            for name, size in installed.stack.resident_mb().items():
                peaks.memory[name] = max(peaks.memory.get(name, 0), size)
            await asyncio.sleep(SAMPLE_SECONDS)

    watching = asyncio.create_task(watch())
    try:
        yield
    finally:
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching
        await connection.close()


@asynccontextmanager
async def _readers(installed: Installation) -> AsyncIterator[None]:
    """Clients that list runs and scores again and again."""

    async def read() -> None:
        while True:
            for path in (RUNS, "/evaluations/trace-scores"):
                await installed.stack.client.get(path)
            await asyncio.sleep(1)

    reading = [asyncio.create_task(read()) for _ in range(READERS)]
    try:
        yield
    finally:
        for task in reading:
            task.cancel()
        await asyncio.gather(*reading, return_exceptions=True)
