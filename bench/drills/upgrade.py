"""Upgrades the workers to the next version under load, and rolls back.

The steps and commands are those of docs/operations.md. Both versions have the same code; Temporal
treats them as two releases.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from bench.claims import Claim
from bench.drills.installation import Installation, installation, until
from bench.drills.load import Load, audit, longest_pause, moments, per_second
from bench.drills.postgres import postgres
from bench.stack import mock_judge

OLD, NEW = "1", "2"
VERSION: Final = "ASSAY_DEPLOYMENT_VERSION"
RAMP_PERCENT: Final = 50
MAX_SLOWDOWN: Final = 0.5
"""The share of the offered load by which a phase may fall behind, on a machine with other work."""
UNPINNED_SECONDS: Final = 300.0
DRAINED_SECONDS: Final = 480.0
PASSING: Final = ("not found", "missing", "deadline exceeded")
"""In errors of Temporal's command line after which an operator repeats the command."""


@dataclass(frozen=True, slots=True)
class UpgradeSize:
    """A run of `traces` begins every `every` seconds. A phase takes `phase_seconds`.

    Runs above 100 pairs have batches, which are pinned to their version. `until_drained` waits
    until Temporal calls the old version drained, which takes minutes.
    """

    traces: int = 60
    every: float = 6.0
    latency: float = 3.0
    phase_seconds: float = 30.0
    until_drained: bool = True


DEFAULT: Final = UpgradeSize()
SMALL: Final = UpgradeSize(phase_seconds=8.0, until_drained=False)


@dataclass
class Phases:
    """Named periods, each from its moment to the next one."""

    names: list[str] = field(default_factory=list)
    times: list[float] = field(default_factory=list)

    def begin(self, name: str) -> None:
        self.names.append(name)
        self.times.append(time.time())

    def claims(self, scored: Sequence[float], offered: float) -> list[Claim]:
        """Pairs judged per second and the longest pause in each period but the last."""
        found = []
        for name, begin, end in zip(self.names, self.times, self.times[1:], strict=False):
            rate = per_second(scored, begin, end)
            pause = longest_pause(scored, begin, end)
            found.append(
                Claim(
                    f"pairs per second, {name} ({end - begin:.0f} s)",
                    f"{rate:.0f}, longest pause {pause:.1f} s",
                    f"≥ {(1 - MAX_SLOWDOWN) * offered:.0f}",
                    rate >= (1 - MAX_SLOWDOWN) * offered,
                )
            )
        return found


async def drill(size: UpgradeSize) -> list[Claim]:
    async with (
        mock_judge("--latency", str(size.latency)) as judge,
        postgres() as server,
        installation(judge, server.url()) as installed,
    ):
        for name in ("temporal", "api"):
            await installed.start(name)
        await installed.start("worker-1", {VERSION: OLD})
        await make_current(installed, OLD)
        load = Load(installed.stack, size.traces, size.every)
        await load.prepare(prepared_runs(size))
        phases = Phases()
        async with load.going_on():
            found = await _upgrade_and_roll_back(installed, phases, size)
        checked = await audit(load, installed.database)
        scored = await moments(installed.database)
    offered = 3 * size.traces / size.every
    return [
        Claim("pairs per second offered", f"{offered:.0f}"),
        *phases.claims(scored, offered),
        *found,
        *checked,
    ]


def prepared_runs(size: UpgradeSize) -> int:
    """Enough runs for all phases and waits."""
    seconds = 5 * size.phase_seconds + 90 + (DRAINED_SECONDS if size.until_drained else 0)
    return int(seconds / size.every)


async def _upgrade_and_roll_back(
    installed: Installation, phases: Phases, size: UpgradeSize
) -> list[Claim]:
    await asyncio.sleep(size.phase_seconds / 2)  # the first seconds warm up
    phases.begin("old version")
    await asyncio.sleep(size.phase_seconds)
    phases.begin("new worker starts")
    await installed.start("worker-2", {VERSION: NEW})
    await ramp(installed, NEW, RAMP_PERCENT)
    phases.begin(f"{RAMP_PERCENT} % on the new version")
    await asyncio.sleep(size.phase_seconds)
    await _until_pinned(installed, OLD)
    await make_current(installed, NEW)
    phases.begin("new version current")
    pinned = await _pinned(installed, OLD)
    free = await _seconds_until_unpinned(installed, OLD)
    await asyncio.sleep(size.phase_seconds)
    found = [
        Claim("batches pinned to the old version at the switch", str(pinned), "≥ 1", pinned >= 1),
        Claim("after the upgrade: until no batch is pinned to the old one", f"{free:.1f} s"),
    ]
    if size.until_drained:
        said = free + size.phase_seconds + await _seconds_until_drained(installed, OLD)
        found.append(Claim("… until Temporal calls the old version drained", f"{said:.0f} s"))
    await _until_pinned(installed, NEW)
    await make_current(installed, OLD)
    phases.begin("rolled back")
    free = await _seconds_until_unpinned(installed, NEW)
    began = time.monotonic()
    await installed.stop("worker-2")
    stopped = time.monotonic() - began
    await asyncio.sleep(size.phase_seconds)
    phases.begin("end")
    return [
        *found,
        Claim("after the roll-back: until no batch is pinned to the new one", f"{free:.1f} s"),
        Claim("stopping that worker then took", f"{stopped:.1f} s"),
    ]


async def make_current(installed: Installation, build: str) -> None:
    await _deploy(installed, "set-current-version", build)


async def ramp(installed: Installation, build: str, percent: int) -> None:
    await _deploy(installed, "set-ramping-version", build, "--percentage", str(percent))


async def _deploy(installed: Installation, command: str, build: str, *options: str) -> None:
    """Repeats the command until Temporal knows the version, which it does once a worker polls."""

    async def is_done() -> bool:
        try:
            await installed.temporal(
                *("worker", "deployment", command, "--yes"),
                *("--deployment-name", "assay", "--build-id", build, *options),
            )
        except RuntimeError as error:
            if any(text in str(error) for text in PASSING):
                return False
            raise
        return True

    await until(is_done, seconds=30)


async def _pinned(installed: Installation, build: str) -> int:
    """The number of open workflows that are pinned to this version."""
    query = (
        f"TemporalWorkerDeploymentVersion = 'assay:{build}' AND ExecutionStatus = 'Running' "
        "AND TemporalWorkflowVersioningBehavior = 'Pinned'"
    )
    return int((await installed.temporal("workflow", "count", "--query", query)).split()[-1])


async def _until_pinned(installed: Installation, build: str) -> None:
    """Waits until a batch of this version is open; between two runs there may be none."""

    async def is_pinned() -> bool:
        return await _pinned(installed, build) > 0

    await until(is_pinned, seconds=UNPINNED_SECONDS)


async def _seconds_until_unpinned(installed: Installation, build: str) -> float:
    began = time.monotonic()

    async def is_free() -> bool:
        return await _pinned(installed, build) == 0

    await until(is_free, seconds=UNPINNED_SECONDS)
    return time.monotonic() - began


async def _seconds_until_drained(installed: Installation, build: str) -> float:
    began = time.monotonic()

    async def is_drained() -> bool:
        said = await installed.temporal(
            *("worker", "deployment", "describe-version", "--output", "json"),
            *("--deployment-name", "assay", "--build-id", build),
        )
        return '"drained"' in said

    await until(is_drained, seconds=DRAINED_SECONDS)
    return time.monotonic() - began
