"""Restarts PostgreSQL in the middle of a run: once properly, once by a crash."""

import asyncio
import time
from dataclasses import dataclass
from typing import Final

from bench.claims import Claim
from bench.drills.installation import Installation, installation, until
from bench.drills.load import Load, audit, none, stats
from bench.drills.postgres import FAST, IMMEDIATE, PostgresInstance, postgres
from bench.stack import mock_judge

MAX_RECOVERY_SECONDS: Final = 30.0
WAYS: Final = {"fast": FAST, "immediate": IMMEDIATE}


@dataclass(frozen=True, slots=True)
class RestartSize:
    """`away_seconds` is the time between the stop and the start of PostgreSQL.

    `ways` are modes of `pg_ctl stop`; `immediate` is a crash.
    """

    traces: int = 600
    latency: float = 1.0
    away_seconds: float = 10.0
    ways: tuple[str, ...] = tuple(WAYS)


DEFAULT: Final = RestartSize()
SMALL: Final = RestartSize(traces=30, latency=0.3, away_seconds=0.5)


async def drill(size: RestartSize) -> list[Claim]:
    async with (
        mock_judge("--latency", str(size.latency)) as judge,
        postgres() as server,
        installation(judge, server.url(), _slots(size)) as installed,
    ):
        await installed.start_all("temporal", "api", "worker-1")
        load = Load(installed.stack, size.traces, every=0)
        await load.prepare(len(size.ways))
        found: list[Claim] = []
        for way in size.ways:
            found += await _restart(installed, server, load, size, way)
        return [*found, *await audit(load, installed.database)]


def _slots(size: RestartSize) -> dict[str, str]:
    """A run takes ten rounds of calls, so that PostgreSQL stops in the middle of it."""
    return {"ASSAY_JUDGE_CONCURRENCY": str(max(1, size.traces // 10))}


async def _restart(
    installed: Installation,
    server: PostgresInstance,
    load: Load,
    size: RestartSize,
    way: str,
) -> list[Claim]:
    before = await server.count("score")
    repeated = (await stats(installed.stack))["answered_again"]
    await load.begin()

    async def is_in_the_middle() -> bool:
        return await server.count("score") > before + size.traces

    await until(is_in_the_middle)
    began = time.monotonic()
    await server.stop(WAYS[way])
    await asyncio.sleep(size.away_seconds)
    await server.start()
    back = time.monotonic()
    written = await server.count("score")

    async def goes_on() -> bool:
        return await server.count("score") > written

    await until(goes_on)
    judged = time.monotonic() - back
    await until(installed.is_ready)
    ready = time.monotonic() - back
    await load.ended()
    repeated = (await stats(installed.stack))["answered_again"] - repeated
    return [
        Claim(f"{way}: PostgreSQL away", f"{back - began:.1f} s"),
        _recovery(f"{way}: until the next score is stored", judged),
        _recovery(f"{way}: until the API is ready", ready),
        none(f"{way}: calls whose answer was paid for again", repeated),
    ]


def _recovery(what: str, seconds: float) -> Claim:
    target = f"< {MAX_RECOVERY_SECONDS:.0f} s"
    return Claim(what, f"{seconds:.1f} s", target, seconds < MAX_RECOVERY_SECONDS)
