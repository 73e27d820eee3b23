"""Restores a lost machine on a fresh one: with Temporal's data, without it, and from SQLite."""

import asyncio
import json
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.claims import RUNS, Claim, Run
from bench.drills.backups import MONITORS, Backup, Machine, copy_sqlite, values_of
from bench.drills.installation import Installation, installation, until
from bench.drills.load import Load, audit, none, stats
from bench.drills.postgres import postgres
from bench.run import METRICS
from bench.stack import control, mock_judge
from core.errors import NotStarted

SETTINGS: Final = {"ASSAY_MAX_OPEN_RUNS_PER_PROJECT": "1"}
"""The third run waits, so the restore must also find a run without a workflow."""

NO_RETRY: Final = 422
OLDER, YOUNGER, LOST = "older", "younger", "lost"


@dataclass(frozen=True, slots=True)
class RestoreSize:
    traces: int = 300
    latency: float = 1.0
    monitors: int = 8


DEFAULT: Final = RestoreSize()
SMALL: Final = RestoreSize(traces=60, monitors=2)

Restored = AbstractAsyncContextManager[tuple[Installation, float]]
"""A fresh machine with the database of the backup, and the seconds of its restore."""


async def drill(size: RestoreSize) -> list[Claim]:
    async with mock_judge("--latency", str(size.latency)) as judge:
        with tempfile.TemporaryDirectory(prefix="assay-backup-") as folder:
            backup = await _backup_of_postgres(judge, size, Path(folder))
            fresh = _fresh_postgres(judge, backup)
            found = await _restore("PostgreSQL with Temporal", OLDER, backup, fresh, size)
            found += await _restore("PostgreSQL alone", LOST, backup, fresh, size)
            found += await _restore("with a younger Temporal", YOUNGER, backup, fresh, size)
        with tempfile.TemporaryDirectory(prefix="assay-backup-") as folder:
            backup = await _backup_of_sqlite(judge, size, Path(folder))
            fresh = _fresh_sqlite(judge, backup)
            found += await _restore("SQLite with Temporal", OLDER, backup, fresh, size)
    return found


async def _backup_of_postgres(judge: str, size: RestoreSize, folder: Path) -> Backup:
    async with postgres() as server, installation(judge, server.url(), SETTINGS) as installed:
        return await _lost_machine(installed, server.dump, size, folder)


async def _backup_of_sqlite(judge: str, size: RestoreSize, folder: Path) -> Backup:
    async with installation(judge, settings=SETTINGS) as installed:

        async def dump(file: Path) -> None:
            await asyncio.to_thread(copy_sqlite, installed.plan.home.path / "assay.db", file)

        return await _lost_machine(installed, dump, size, folder)


async def _lost_machine(
    installed: Installation,
    dump: Callable[[Path], Awaitable[None]],
    size: RestoreSize,
    folder: Path,
) -> Backup:
    """The backup of a machine whose processes are killed right after it."""
    await control(installed.stack, latency=size.latency)
    await installed.start_all("temporal", "api", "worker-1")
    machine = Machine(installed, Load(installed.stack, size.traces, every=0), dump)
    await machine.begin(size.monitors)
    backup = await machine.back_up(folder)
    for name in ("worker-1", "api", "temporal"):
        await installed.kill(name)
    return backup


def _fresh_postgres(judge: str, backup: Backup) -> Callable[[], Restored]:
    @asynccontextmanager
    async def fresh() -> AsyncIterator[tuple[Installation, float]]:
        async with postgres() as server, installation(judge, server.url(), SETTINGS) as installed:
            began = time.monotonic()
            await server.restore(backup.database)
            yield installed, time.monotonic() - began

    return fresh


def _fresh_sqlite(judge: str, backup: Backup) -> Callable[[], Restored]:
    @asynccontextmanager
    async def fresh() -> AsyncIterator[tuple[Installation, float]]:
        async with installation(judge, settings=SETTINGS) as installed:
            began = time.monotonic()
            shutil.copy(backup.database, installed.plan.home.path / "assay.db")
            yield installed, time.monotonic() - began

    return fresh


async def _restore(
    title: str, temporal: str, backup: Backup, fresh: Callable[[], Restored], size: RestoreSize
) -> list[Claim]:
    async with fresh() as (installed, seconds):
        await control(installed.stack, reset=True, latency=size.latency)
        store = installed.plan.home.temporal_store
        if temporal != LOST:
            chosen = backup.older_temporal if temporal == OLDER else backup.younger_temporal
            shutil.copy(chosen, store)
        restored = await values_of(installed.database, backup.runs)
        began = time.monotonic()
        await installed.start("temporal")
        found = [
            Claim("restore of the database", f"{seconds:.1f} s"),
            none("scores from before the backup that it lacks", (backup.scored - restored).total()),
        ]
        if temporal == LOST:
            found.append(await _refusal(installed))
        adopt = {"ASSAY_ADOPT_RUNS": "true"} if temporal == LOST else {}
        await asyncio.gather(installed.start("api"), installed.start("worker-1", adopt))
        found.append(Claim("start of all processes", f"{time.monotonic() - began:.1f} s"))
        found += await _schedules(installed, backup)
        found += await _runs(installed, backup, restored.total(), size, temporal)
        later = await values_of(installed.database, backup.runs)
        found.append(none("restored scores that changed or vanished", (restored - later).total()))
        found += await _due(installed, backup)
    return [Claim(f"{title}: {one.what}", *_rest(one)) for one in found]


def _rest(claim: Claim) -> tuple[str, str, bool]:
    return claim.figure, claim.target, claim.holds


async def _refusal(installed: Installation) -> Claim:
    """A worker that may not adopt the runs of another Temporal must not start."""
    try:
        await installed.start("worker-0")
    except NotStarted as error:
        refused = "ASSAY_ADOPT_RUNS=true" in str(error)
    else:
        refused = False
        await installed.stop("worker-0")
    return Claim(
        "a worker without ASSAY_ADOPT_RUNS starts", "no" if refused else "yes", "no", refused
    )


async def _schedules(installed: Installation, backup: Backup) -> list[Claim]:
    """Nobody reads the monitors through the API, which would repair their schedules."""
    began = time.monotonic()

    async def listed() -> list[str]:
        said = await installed.temporal("schedule", "list", "--output", "json")
        return [entry["scheduleId"] for entry in json.loads(said or "[]")]

    async def are_back() -> bool:
        return len(await listed()) == len(backup.monitors)

    await until(are_back, seconds=90)
    count, all_of_them = len(await listed()), len(backup.monitors)
    seconds = time.monotonic() - began
    return [
        Claim(
            "monitors whose schedule is back",
            f"{count} after {seconds:.0f} s",
            str(all_of_them),
            count == all_of_them,
        )
    ]


async def _runs(
    installed: Installation, backup: Backup, known: int, size: RestoreSize, temporal: str
) -> list[Claim]:
    began = time.monotonic()
    runs = list(backup.runs)
    load = Load(installed.stack, size.traces, every=0, runs=runs, began=len(runs))
    ended = await load.ended()
    failed = [run for run in ended if run["status"] != "COMPLETED"]
    seconds = time.monotonic() - began
    # A call judges the three metrics of a trace, unless some of them have a score already.
    open_pairs = len(runs) * size.traces * len(METRICS) - known
    calls = (await stats(installed.stack))["calls"]
    found = [
        Claim("runs that completed", f"{len(runs) - len(failed)} of {len(runs)}"),
        Claim("until all runs ended", f"{seconds:.1f} s"),
        Claim("pairs open in the backup, calls for them", f"{open_pairs}, {calls}"),
    ]
    if temporal == YOUNGER:
        return [*found, *await _retried(installed, load, failed)]
    return [*found, *await audit(load, installed.database)]


async def _retried(installed: Installation, load: Load, failed: list[Run]) -> list[Claim]:
    """Temporal counts pairs as judged whose scores the older database lacks; a retry gets them.

    A run that began between the two copies has no targets in the database, so it has no retry.
    """
    retries, lost = [], []
    for run in failed:
        answer = await installed.stack.client.post(f"{RUNS}/{run['id']}/retry")
        if answer.status_code == NO_RETRY and not run["total_traces"]:
            lost.append(run["id"])
            continue
        answer.raise_for_status()
        retries.append(answer.json())
    ended = await Load(installed.stack, load.traces, every=0, runs=retries).ended()
    known = [run for run in load.runs if run["id"] not in lost]
    pairs = {pair for _, pair, _ in await values_of(installed.database, [*known, *ended])}
    missing = len(known) * load.traces * len(METRICS) - len(pairs)
    return [
        Claim("runs that were retried; that must be posted again", f"{len(retries)}; {len(lost)}"),
        none("pairs without a score after the retry", missing),
    ]


async def _due(installed: Installation, backup: Backup) -> list[Claim]:
    """Makes each monitor due and counts the runs; the last monitor is paused."""
    client = installed.stack.client
    active = 0
    for monitor_id in backup.monitors:
        found = (await client.get(f"{MONITORS}/{monitor_id}")).json()
        active += found["status"] == "ACTIVE"
        if found["status"] == "ACTIVE":
            await installed.temporal(
                "schedule", "trigger", "--schedule-id", f"eval-monitor-{monitor_id}"
            )

    async def opened() -> int:
        numbers = []
        for monitor_id in backup.monitors:
            page = (await client.get(f"{MONITORS}/{monitor_id}/runs")).json()
            numbers.append(len(page["items"]))
        return sum(number > 0 for number in numbers)

    async def have_run() -> bool:
        return await opened() >= active

    await until(have_run, seconds=60)
    expected = len(backup.monitors) - 1
    return [
        Claim("monitors that run when due", str(active), str(expected), active == expected),
    ]
