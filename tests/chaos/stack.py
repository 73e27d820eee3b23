"""The embedded stack with separate processes, so that a test can hit any of them."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx

from bench.stack import mock_judge
from core.db.database import Database
from core.embedded import parent_death
from core.embedded.home import Home
from core.embedded.stack import StackPlan, api_role, temporal_role, worker_role
from core.settings import Settings
from tests.chaos import store
from tests.factories import trace_body
from tests.ports import free_port

ROOT = Path(__file__).parents[2]
API_KEY = "key-of-the-faulty-machine"
METRICS = ("step_efficiency", "task_completion", "tool_correctness")
CALLS_PER_TRACE = len(METRICS)
"""Each metric is asked alone, so that many calls are open when something breaks."""
RUNS = "/evaluations/trace-runs"

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Targets:
    """New traces, so that no earlier judgement applies."""

    tag: str
    ids: list[str]

    @property
    def body(self) -> Json:
        return {"metrics": list(METRICS), "filters": {"tags": [self.tag]}, "bundle": False}


@dataclass
class Stack:
    """`lost`: questions that may be asked again, because they were open when a worker was
    killed.
    """

    plan: StackPlan
    environment: dict[str, str]
    api: httpx.AsyncClient
    judge: httpx.AsyncClient
    database: Database
    processes: dict[str, asyncio.subprocess.Process] = field(default_factory=dict)
    lost: int = 0
    remembered: int = 0

    async def start(self, name: str, command: Sequence[str] = ()) -> None:
        """Starts `temporal`, `api`, `worker-1`, … A worker may use another command."""
        log = self.plan.home.open_log(name)
        try:
            self.processes[name] = await asyncio.create_subprocess_exec(
                *(sys.executable, parent_death.__file__, str(os.getpid())),
                *(command or self._command(name)),
                cwd=ROOT,
                env=self.environment,
                stdout=log,
                stderr=log,
            )
        finally:
            os.close(log)

    async def kill(self, name: str) -> None:
        """Sends SIGKILL. Adds the open questions of a worker to `lost`."""
        # Stopped first, so that its open questions can be counted exactly.
        await self.freeze(name)
        process = self.processes.pop(name)
        process.send_signal(signal.SIGKILL)
        await process.wait()

    async def freeze(self, name: str) -> None:
        """Sends SIGSTOP. Adds the open questions of a worker to `lost`."""
        self.processes[name].send_signal(signal.SIGSTOP)
        if name.startswith("worker"):
            self.lost += await self._open_questions()

    async def thaw(self, name: str) -> None:
        """Sends SIGCONT.

        The worker does not know that other workers have its pairs, so it may repeat their
        questions.
        """
        if name.startswith("worker"):
            self.lost += await self._open_questions()
        self.processes[name].send_signal(signal.SIGCONT)

    async def stop(self, name: str) -> int:
        process = self.processes.pop(name)
        process.send_signal(signal.SIGTERM)
        return await process.wait()

    async def whole(self, *, workers: int = 1) -> None:
        """Starts missing processes, and returns when all of them serve."""
        wanted = ["temporal", "api", *(f"worker-{n}" for n in range(1, workers + 1))]
        missing = [name for name in wanted if name not in self.processes]
        for name in missing:
            await self.start(name)
        await until(self.is_ready)
        for name in missing:
            if name.startswith("worker"):
                await self.serves(name)

    async def is_ready(self) -> bool:
        try:
            return (await self.api.get("/ready")).is_success
        except httpx.TransportError:
            return False

    async def serves(self, name: str) -> None:
        """Waits until the last worker with this name serves."""
        process = self.processes[name]

        async def serving() -> bool:
            assert process.returncode is None, self.log(name)
            return await store.worker_seen(self.database, process.pid)

        await until(serving)

    async def calm(self) -> None:
        """Resets the judge to good and immediate answers, and its counts to zero."""
        await self.control(**CALM, reset=True)
        self.lost = 0
        self.remembered = await store.judgements(self.database)

    async def control(self, **behaviour: Any) -> None:
        (await self.judge.post("/control", json=behaviour)).raise_for_status()

    async def stats(self) -> Json:
        found: Json = (await self.judge.get("/stats")).json()
        return found

    async def asked(self, calls: int) -> None:
        """Waits until the judge got this many calls."""

        async def often() -> bool:
            return bool((await self.stats())["calls"] >= calls)

        await until(often)

    async def asked_again(self, calls: int) -> None:
        """Waits until the judge got this many more calls."""
        await self.asked((await self.stats())["calls"] + calls)

    async def store_traces(self, count: int) -> Targets:
        tag = uuid4().hex
        bodies = [trace_body(input=f"Where is {tag} {n}?", tags=[tag]) for n in range(count)]
        turns = asyncio.Semaphore(8)

        async def send(body: Json) -> None:
            async with turns:
                answer = await self.api.post("/traces", json=body)
            assert answer.status_code == 202, answer.text

        await asyncio.gather(*map(send, bodies))
        return Targets(tag, [body["trace_id"] for body in bodies])

    async def post_run(self, targets: Targets, **headers: str) -> Json:
        answer = await self.api.post(RUNS, json=targets.body, headers=headers)
        assert answer.status_code == 202, answer.text
        run: Json = answer.json()
        return run

    async def get_run(self, run: Json) -> Json:
        answer = await self.api.get(f"{RUNS}/{run['id']}")
        assert answer.status_code == 200, answer.text
        found: Json = answer.json()
        return found

    async def ended(self, run: Json, *, seconds: float = 120) -> Json:
        async with asyncio.timeout(seconds):
            while (run := await self.get_run(run))["status"] not in ("COMPLETED", "FAILED"):
                await asyncio.sleep(0.1)
        return run

    def log(self, name: str) -> str:
        return self.plan.home.log(name).read_text(errors="replace")

    async def close(self) -> None:
        for process in self.processes.values():
            if process.returncode is None:
                process.kill()
            await process.wait()
        await self.database.close()

    async def _open_questions(self) -> int:
        """Questions that are open at the judge, or answered but not stored yet."""
        await asyncio.sleep(0.05)  # Waits until requests in transit have arrived.
        stats = await self.stats()
        kept = await store.judgements(self.database) - self.remembered
        return int(stats["in_flight"]) + max(0, int(stats["answered"]) - kept)

    def _command(self, name: str) -> Sequence[str]:
        if name.startswith("worker"):
            return worker_role(self.plan, 1).command
        return {"temporal": temporal_role, "api": api_role}[name](self.plan).command


CALM: Json = {
    "latency": 0.2,
    "rate_429": 0,
    "rate_500": 0,
    "rate_hang": 0,
    "rate_reset": 0,
    "malformed": 0,
    "retry_after": 1,
    "outage": False,
    "refusal": "",
}


async def until(true: Callable[[], Awaitable[bool]], *, seconds: float = 120) -> None:
    async with asyncio.timeout(seconds):
        while not await true():
            await asyncio.sleep(0.05)


@asynccontextmanager
async def running(folder: Path, settings: Mapping[str, str] | None = None) -> AsyncIterator[Stack]:
    """A stack in which only the judge runs. `settings` are environment variables."""
    async with mock_judge() as judge_url:
        chosen = {
            "ASSAY_HOME": str(folder),
            "ASSAY_DATABASE_URL": f"sqlite:///{folder / 'assay.db'}",
            "ASSAY_API_PORT": str(free_port()),
            "ASSAY_TEMPORAL_PORT": str(free_port()),
            "ASSAY_TEMPORAL_UI_PORT": str(free_port()),
            "ASSAY_BOOTSTRAP_API_KEY": API_KEY,
            "ASSAY_JUDGE_MODEL": "openai/gpt-4o-mini",
            "ASSAY_JUDGE_API_BASE": f"{judge_url}/v1",
            "ASSAY_JUDGE_TIMEOUT_SECONDS": "5",
            "ASSAY_SHUTDOWN_GRACE_SECONDS": "10",
            "OPENAI_API_KEY": "mock",
            **(settings or {}),
        }
        known = {name.removeprefix("ASSAY_").lower(): value for name, value in chosen.items()}
        plan_settings = Settings.model_validate(known)
        home = Home(folder)
        (folder / "logs").mkdir(parents=True, exist_ok=True)
        port = plan_settings.api_port
        async with (
            httpx.AsyncClient(
                base_url=f"http://127.0.0.1:{port}",
                headers={"Authorization": f"Bearer {API_KEY}"},
                timeout=90,
            ) as api,
            httpx.AsyncClient(base_url=judge_url) as judge,
        ):
            stack = Stack(
                plan=StackPlan(plan_settings, home, workers=1, api_port=port, api_key=API_KEY),
                environment={n: os.environ[n] for n in ("PATH", "HOME") if n in os.environ}
                | chosen,
                api=api,
                judge=judge,
                database=Database(plan_settings.database),
            )
            try:
                yield stack
            finally:
                await stack.close()
