"""Runs over new traces while a drill changes the installation, and the audit of their scores."""

import asyncio
import math
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final
from uuid import UUID

import httpx
from sqlalchemy import select
from sqlmodel import col

from bench.claims import OPEN, Claim, Run, look, post, store
from bench.run import METRICS
from bench.stack import Stack, control
from core.db.database import Database
from core.db.tables import Score
from core.ids import ScoreStatus

END_SECONDS: Final = 180.0
LOOK_SECONDS: Final = 0.2

Pair = tuple[str, str]
"""A target and a metric."""


@dataclass
class Load:
    """A run over `traces` new traces every `every` seconds.

    `prepare` stores the traces of the first runs beforehand; the others are stored when a run
    begins.
    """

    stack: Stack
    traces: int
    every: float
    runs: list[Run] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    """Why requests got no run."""
    began: int = 0
    prepared: int = 0

    async def prepare(self, runs: int) -> None:
        await store(self.stack, runs * self.traces)
        self.prepared = runs

    async def begin(self, **options: Any) -> None:
        """Posts the next run."""
        first = self.began * self.traces
        self.began += 1
        try:
            if self.began > self.prepared:
                await store(self.stack, self.traces, first=first)
            run = await post(self.stack, METRICS, first=first, count=self.traces, **options)
        except (httpx.HTTPError, OSError, EOFError) as error:
            self.refused.append(f"{type(error).__name__}: {error}")
        else:
            self.runs.append(run)

    @asynccontextmanager
    async def going_on(self) -> AsyncIterator[None]:
        """Posts runs while the block runs."""
        going = asyncio.create_task(self._go_on())
        try:
            yield
        finally:
            going.cancel()

    async def _go_on(self) -> None:
        while True:
            due = time.monotonic() + self.every
            await self.begin()
            await asyncio.sleep(max(0.0, due - time.monotonic()))

    async def ended(self) -> list[Run]:
        """All runs after their end, whatever it is."""
        async with asyncio.timeout(END_SECONDS):
            return [await self._ended(run) for run in self.runs]

    async def _ended(self, run: Run) -> Run:
        while run["status"] in OPEN:
            await asyncio.sleep(LOOK_SECONDS)
            run = await look(self.stack, run)
        return run


async def stats(stack: Stack) -> dict[str, Any]:
    """The counts of the mock judge."""
    found: dict[str, Any] = (await stack.judge.get("/stats")).json()
    return found


async def values(database: Database, run_id: str) -> list[tuple[Pair, str | None]]:
    """The successful scores of a run."""
    rows = select(col(Score.target_id), col(Score.name), col(Score.value)).where(
        col(Score.eval_run_id) == UUID(run_id), col(Score.status) == ScoreStatus.SUCCESS
    )
    async with database.read() as db:
        return [((target, name), value) for target, name, value in await db.execute(rows)]


async def moments(database: Database) -> list[float]:
    """When each score was made, in seconds since 1970, in order."""
    async with database.read() as db:
        found = await db.scalars(select(col(Score.created_at)))
        return sorted(moment.timestamp() for moment in found)


def per_second(moments: Sequence[float], begin: float, end: float) -> float:
    return sum(begin <= moment < end for moment in moments) / (end - begin)


def longest_pause(moments: Sequence[float], begin: float, end: float) -> float:
    """The longest time without a score between two scores of this period, in seconds."""
    within = [moment for moment in moments if begin <= moment < end]
    return max((after - before for before, after in pairwise(within)), default=math.inf)


async def audit(load: Load, database: Database) -> list[Claim]:
    """Waits for the runs, then judges the traces of the last one again to compare the values.

    The mock judge gives the same answer to the same question, so each value must be the same.
    """
    runs = await load.ended()
    failed = [run for run in runs if run["status"] != "COMPLETED"]
    counted = await stats(load.stack)
    scored = {run["id"]: await values(database, run["id"]) for run in runs}
    pairs = load.traces * len(METRICS)
    missing = sum(pairs - len(dict(found)) for found in scored.values())
    twice = sum(len(found) - len(dict(found)) for found in scored.values())
    wrong = await _wrong(load, database, dict(scored[runs[-1]["id"]]))
    return [
        Claim("runs, each of them over new traces", f"{len(runs)} of {load.traces} traces"),
        none("requests for a run that were refused", len(load.refused)),
        none("runs that failed", len(failed)),
        none("pairs without a score", missing),
        none("pairs with two scores", twice),
        none("scores with another value when judged again", wrong),
        none("calls whose answer was paid for again", counted["answered_again"]),
    ]


def none(what: str, count: int) -> Claim:
    """A count that must be zero."""
    return Claim(what, str(count), "0", count == 0)


async def _wrong(load: Load, database: Database, known: dict[Pair, str | None]) -> int:
    await control(load.stack, latency=0.0)
    again = Load(load.stack, load.traces, load.every, began=load.began - 1, prepared=load.began)
    await again.begin(fresh=True)
    (run,) = await again.ended()
    found = Counter(await values(database, run["id"]))
    return sum((Counter(known.items()) - found).values())
