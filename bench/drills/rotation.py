"""Rotates keys under load: an API key, the key that encrypts Temporal's payloads, a provider's key.

The steps are those of docs/operations.md and docs/temporal.md.
"""

import asyncio
import time
from base64 import b64encode
from dataclasses import dataclass, field
from os import urandom
from typing import Final

from bench.claims import Claim
from bench.drills.backups import MONITORS, monitor_body
from bench.drills.installation import Installation, installation, until
from bench.drills.key_clients import KeyClients
from bench.drills.load import Load, audit, none, stats
from bench.drills.postgres import postgres
from bench.stack import control, mock_judge
from core.embedded.ports import free_port

CODEC: Final = "ASSAY_TEMPORAL_CODEC"
CODEC_KEYS: Final = "ASSAY_TEMPORAL_CODEC_KEYS"
PROVIDER_KEY: Final = "OPENAI_API_KEY"
OLD, NEW = "2026-05", "2026-11"


@dataclass(frozen=True, slots=True)
class RotationSize:
    """A run of `traces` begins every `every` seconds."""

    traces: int = 60
    every: float = 5.0
    latency: float = 1.0
    overlap_seconds: int = 20


DEFAULT: Final = RotationSize()
SMALL: Final = RotationSize(traces=30, overlap_seconds=5)


@dataclass
class Rollout:
    """Replaces the API and the worker one after the other, each new one before the old one stops.

    `variables` are those of the processes that start next.
    """

    installed: Installation
    variables: dict[str, str]
    number: int = 0
    ports: list[int] = field(default_factory=list)

    async def replace(self) -> float:
        """Seconds until both are replaced."""
        began = time.monotonic()
        await self.replace_api()
        await self.replace_worker()
        return time.monotonic() - began

    async def replace_api(self) -> None:
        self.number += 1
        port = free_port()
        await self.installed.start(f"api-{self.number}", self.variables, port=port)
        # As a load balancer does: new requests go to the new process.
        self.installed.stack.client.base_url = f"http://127.0.0.1:{port}"
        self.ports.append(port)
        await self._stop("api")

    async def replace_worker(self) -> None:
        self.number += 1
        await self.installed.start(f"worker-{self.number}", self.variables)
        await self._stop("worker")

    async def _stop(self, kind: str) -> None:
        """Stops the processes of this kind but the newest."""
        names = [name for name in self.installed.stack.processes if name.startswith(kind)]
        for name in names[:-1]:
            await self.installed.stop(name)


async def drill(size: RotationSize) -> list[Claim]:
    old, new = (f"{name}:{b64encode(urandom(32)).decode()}" for name in (OLD, NEW))
    variables = {
        CODEC: "core.temporal.keyring_codec:KeyringCodec",
        CODEC_KEYS: old,
        PROVIDER_KEY: OLD,
    }
    async with (
        mock_judge("--latency", str(size.latency)) as judge,
        postgres() as server,
        installation(judge, server.url()) as installed,
    ):
        await control(installed.stack, keys=OLD)
        rollout = Rollout(installed, variables)
        await installed.start("temporal")
        await rollout.replace_api()
        await rollout.replace_worker()
        load = Load(installed.stack, size.traces, size.every)
        async with load.going_on():
            found = await _api_key(rollout, size)
            found += await _payload_key(rollout, load, old, new)
            found += await _provider_key(rollout)
        return [*found, *await audit(load, installed.database)]


async def _api_key(rollout: Rollout, size: RotationSize) -> list[Claim]:
    """Two APIs, so that a key which one API rotates is used at the other."""
    await rollout.installed.start("api-0", rollout.variables, port=(other := free_port()))
    clients = KeyClients((rollout.ports[-1], other))
    found = await clients.rotate(rollout.installed.stack.client, size.overlap_seconds)
    await rollout.installed.stop("api-0")
    return found


async def _payload_key(rollout: Rollout, load: Load, old: str, new: str) -> list[Claim]:
    installed = rollout.installed
    answer = await installed.stack.client.post(MONITORS, json=monitor_body("daily", 0))
    answer.raise_for_status()
    schedule = f"eval-monitor-{answer.json()['id']}"
    # Temporal passes the result of this run, encrypted with the old key, to the next one.
    await _run_monitor(installed, schedule, runs=1)
    took = []
    for ring in (f"{old},{new}", f"{new},{old}"):
        rollout.variables[CODEC_KEYS] = ring
        took.append(await rollout.replace())
    began = time.monotonic()

    async def is_encrypted_again() -> bool:
        said = await installed.temporal(
            "schedule", "describe", "--schedule-id", schedule, "--output", "json"
        )
        # The schedule names the key that it was made with in clear.
        return _shown(NEW) in said and all(_shown(text) not in said for text in (OLD, f'"{OLD}"'))

    await until(is_encrypted_again, seconds=120)
    again = time.monotonic() - began
    # In production, the retention of the namespace ends here: nothing of the old key is left.
    first = len(load.runs)
    await _ended(load, first)
    rollout.variables[CODEC_KEYS] = new
    took.append(await rollout.replace())
    await _run_monitor(installed, schedule, runs=2)
    with_old = [
        run["id"]
        for run in load.runs[first:]
        if _shown(OLD) in await _history(installed, run["id"])
    ]
    seconds = ", ".join(f"{one:.0f}" for one in took)
    return [
        Claim("payload key: each of the three restarts of API and worker", f"{seconds} s"),
        Claim("payload key: until schedules are encrypted with it", f"{again:.0f} s"),
        none("payload key: later runs that still use the old key", len(with_old)),
        Claim("payload key: a monitor runs without the old key", "yes"),
    ]


def _shown(key_id: str) -> str:
    """The id of a key as Temporal's command line shows it."""
    return f'"{b64encode(key_id.encode()).decode()}"'


async def _ended(load: Load, count: int) -> None:
    """Waits for the first runs."""
    first = Load(load.stack, load.traces, load.every, runs=load.runs[:count])
    await first.ended()


async def _history(installed: Installation, run_id: str) -> str:
    return await installed.temporal(
        "workflow", "show", "--workflow-id", f"eval-run-{run_id}", "--output", "json"
    )


async def _run_monitor(installed: Installation, schedule: str, *, runs: int) -> None:
    """Starts the monitor, and waits until this number of its runs have ended."""
    await installed.temporal("schedule", "trigger", "--schedule-id", schedule)
    monitor_id = schedule.removeprefix("eval-monitor-")

    async def have_ended() -> bool:
        page = await installed.stack.client.get(f"{MONITORS}/{monitor_id}/runs")
        ended = [run for run in page.json()["items"] if run["status"] == "COMPLETED"]
        return len(ended) >= runs

    await until(have_ended, seconds=120)


async def _provider_key(rollout: Rollout) -> list[Claim]:
    stack = rollout.installed.stack
    await control(stack, keys=f"{OLD},{NEW}")
    rollout.variables[PROVIDER_KEY] = NEW
    began = time.monotonic()

    async def is_used() -> bool:
        return bool((await stats(stack))["keys"].get(NEW))

    used = asyncio.create_task(until(is_used))
    await rollout.replace_worker()
    replaced = time.monotonic() - began
    await used
    await control(stack, keys=NEW)
    before = (await stats(stack))["keys"]

    async def is_used_alone() -> bool:
        return bool((await stats(stack))["keys"][NEW] > before[NEW])

    await until(is_used_alone)
    counted = await stats(stack)
    return [
        Claim(
            "provider key: until the worker with it has replaced the old one", f"{replaced:.0f} s"
        ),
        none("provider key: calls refused", counted["statuses"].get("401", 0)),
        none("provider key: calls with the old key afterwards", counted["keys"][OLD] - before[OLD]),
    ]
