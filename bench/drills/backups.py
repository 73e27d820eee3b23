"""Backups that are taken while an installation works, and what they must contain."""

import asyncio
import sqlite3
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from bench.claims import Run
from bench.drills.installation import Installation, until
from bench.drills.load import Load, Pair, values
from bench.run import METRICS, trace
from core.db.database import Database

MONITORS: Final = "/evaluations/monitors"
CADENCES: Final = ("daily", "every_6h", "weekly", "cron:17 3 * * *")

Values = Counter[tuple[str, Pair, str | None]]
"""Run, pair and value of each successful score."""


def monitor_body(cadence: str, number: int) -> dict[str, Any]:
    """A monitor of one trace, which runs whenever it is due."""
    return {
        "name": f"monitor {number}",
        "target_type": "TRACE",
        "metrics": METRICS[:1],
        "filters": {"name": trace(0)["name"]},
        "cadence": cadence,
        "only_if_changed": False,
    }


@dataclass
class Machine:
    """What is copied from a machine before it is lost.

    `dump` writes the database into a file while others write to the database.
    """

    installed: Installation
    load: Load
    dump: Callable[[Path], Awaitable[None]]
    monitors: list[str] = field(default_factory=list)

    async def begin(self, monitors: int) -> None:
        """One run that has ended, one in the middle, one that waits; and monitors, one paused."""
        await self.load.prepare(3)
        await self.load.begin()
        await self.load.ended()
        for number in range(monitors):
            await self._create_monitor(CADENCES[number % len(CADENCES)], number)
        paused = f"{MONITORS}/{self.monitors[-1]}/pause"
        (await self.installed.stack.client.post(paused)).raise_for_status()
        await self.load.begin()
        await self.load.begin()
        await self._scored_more(self.load.traces)

    async def _create_monitor(self, cadence: str, number: int) -> None:
        body = monitor_body(cadence, number)
        answer = await self.installed.stack.client.post(MONITORS, json=body)
        answer.raise_for_status()
        self.monitors.append(answer.json()["id"])

    async def back_up(self, folder: Path) -> "Backup":
        """Copies Temporal first, then the database, then Temporal again."""
        before = await self.values()
        older, younger, database = (folder / name for name in ("older", "younger", "database"))
        await asyncio.to_thread(copy_sqlite, self.installed.plan.home.temporal_store, older)
        await self.dump(database)
        await self._scored_more(self.load.traces // 2)
        await asyncio.to_thread(copy_sqlite, self.installed.plan.home.temporal_store, younger)
        return Backup(older, younger, database, self.load.runs, self.monitors, before)

    async def values(self) -> Values:
        return await values_of(self.installed.database, self.load.runs)

    async def _scored_more(self, scores: int) -> None:
        wanted = (await self.values()).total() + scores

        async def has_them() -> bool:
            return (await self.values()).total() >= wanted

        await until(has_them)


@dataclass(frozen=True)
class Backup:
    """Two copies of Temporal's file, from before and after the dump of the database.

    `scored` are the scores that were stored before the backup began.
    """

    older_temporal: Path
    younger_temporal: Path
    database: Path
    runs: list[Run]
    monitors: list[str]
    scored: Values


async def values_of(database: Database, runs: list[Run]) -> Values:
    found: list[Any] = []
    for run in runs:
        found += [(run["id"], pair, value) for pair, value in await values(database, run["id"])]
    return Counter(found)


def copy_sqlite(source: Path, target: Path) -> None:
    """A consistent copy of a file that others write, like `VACUUM INTO` of `sqlite3`."""
    with closing(sqlite3.connect(source, timeout=60)) as database:
        database.execute("VACUUM INTO ?", (str(target),))
