"""Real processes: API, workers and Temporal, as a user runs them; only the judge is scripted."""

import asyncio
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment

from tests.factories import trace_body
from tests.judge_server import JudgeServer
from tests.ports import free_port

ROOT = Path(__file__).parents[2]
API_KEY = "end-to-end-key-for-tests"
METRICS = ["step_efficiency", "task_completion", "tool_correctness"]
CALLS_PER_TRACE = 1
"""Three metrics, one task stage between them."""

Json = dict[str, Any]


@dataclass
class Assay:
    environment: dict[str, str]
    folder: Path
    api: httpx.AsyncClient
    judge: JudgeServer
    processes: list[asyncio.subprocess.Process] = field(default_factory=list)
    cwd: Path = ROOT

    async def start(self, name: str, *command: str) -> asyncio.subprocess.Process:
        with (self.folder / f"{name}-{len(self.processes)}.log").open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                sys.executable, *command, cwd=self.cwd, env=self.environment, stdout=log, stderr=log
            )
        self.processes.append(process)
        return process

    async def start_api(self, port: int) -> None:
        await self.start(
            "api", *("-m", "uvicorn", "api.app:create_app", "--factory", "--port", str(port))
        )
        await self.until_ready()

    async def until_ready(self) -> None:
        async with asyncio.timeout(60):
            while not await self._is_ready():
                await asyncio.sleep(0.1)

    async def start_worker(self) -> asyncio.subprocess.Process:
        return await self.start("worker", "worker.py")

    async def stop(self) -> None:
        for process in self.processes:
            if process.returncode is None:
                process.send_signal(signal.SIGTERM)
        await asyncio.gather(*(process.wait() for process in self.processes))

    def logs(self) -> str:
        return "\n".join(
            f"--- {path.name}\n{path.read_text()}" for path in self.folder.glob("*.log")
        )

    async def store_traces(self, count: int, **fields: Any) -> list[str]:
        bodies = [trace_body(input=f"Where is order {n}?", **fields) for n in range(count)]
        for body in bodies:
            answer = await self.api.post("/traces", json=body)
            assert answer.status_code == 202, answer.text
        return [body["trace_id"] for body in bodies]

    async def post_run(self, **body: Any) -> Json:
        answer = await self.api.post("/evaluations/trace-runs", json={"metrics": METRICS} | body)
        assert answer.status_code == 202, answer.text
        run: Json = answer.json()
        return run

    async def get_run(self, run: Json) -> Json:
        answer = await self.api.get(f"/evaluations/trace-runs/{run['id']}")
        found: Json = answer.json()
        return found

    async def until(self, run: Json, *statuses: str, seconds: float = 90) -> Json:
        async with asyncio.timeout(seconds):
            while (run := await self.get_run(run))["status"] not in statuses:
                await asyncio.sleep(0.1)
        return run

    async def until_it_says(self, run: Json, words: str, *, seconds: float) -> None:
        async with asyncio.timeout(seconds):
            while words not in ((await self.get_run(run))["activity"] or ""):
                await asyncio.sleep(0.1)

    async def until_judged(self, calls: int) -> None:
        """Waits until the judge got this many calls."""
        async with asyncio.timeout(60):
            while len(self.judge.requests) < calls:
                await asyncio.sleep(0.02)

    async def scores(self, run: Json) -> list[Json]:
        answer = await self.api.get(f"/evaluations/trace-runs/{run['id']}/scores")
        found: list[Json] = answer.json()
        return found

    def repeats(self) -> int:
        """The number of repeated questions."""
        asked = Counter(request.text for request in self.judge.requests)
        return asked.total() - len(asked)

    async def _is_ready(self) -> bool:
        if self.processes[-1].returncode is not None:
            raise AssertionError(f"The API ended.\n{self.logs()}")
        try:
            return (await self.api.get("/ready")).is_success
        except httpx.TransportError:
            return False


async def fail_a_workflow_task(assay: Assay, temporal: Client, task_queue: str) -> None:
    """Starts a run with an input that no code reads, so that Temporal's SDK writes a warning."""
    run = await temporal.start_workflow(
        "EvalRunWorkflow", "no input", id=f"eval-run-{uuid4()}", task_queue=task_queue
    )
    async with asyncio.timeout(30):
        while "Failing workflow task" not in assay.logs():
            await asyncio.sleep(0.1)
    await run.terminate()


@asynccontextmanager
async def running(
    server: WorkflowEnvironment, folder: Path, database_url: str, task_queue: str, **extra: str
) -> AsyncIterator[Assay]:
    """`extra`: further variables of the environment."""
    port = free_port()
    async with (
        JudgeServer(delay=0.05) as judge,
        httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{port}",
            headers={"Authorization": f"Bearer {API_KEY}"},
            timeout=30,
        ) as client,
    ):
        assay = Assay(
            environment={name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
            | {
                "ASSAY_HOME": str(folder),
                "ASSAY_DATABASE_URL": database_url,
                "ASSAY_TASK_QUEUE": task_queue,
                "ASSAY_BOOTSTRAP_API_KEY": API_KEY,
                "ASSAY_JUDGE_MODEL": "openai/gpt-4o-mini",
                "ASSAY_JUDGE_API_BASE": judge.openai,
                "ASSAY_JUDGE_TIMEOUT_SECONDS": "5",
                "ASSAY_SHUTDOWN_GRACE_SECONDS": "10",
                "OPENAI_API_KEY": "sk-of-the-scripted-judge",
                "TEMPORAL_ADDRESS": server.client.service_client.config.target_host,
                **extra,
            },
            folder=folder,
            api=client,
            judge=judge,
        )
        try:
            await assay.start_api(port)
            yield assay
        finally:
            await assay.stop()


@pytest.fixture
async def assay(
    temporal_server: WorkflowEnvironment, tmp_path: Path, any_database_url: str, task_queue: str
) -> AsyncIterator[Assay]:
    """A running API without a worker, on each database."""
    async with running(temporal_server, tmp_path, any_database_url, task_queue) as assay:
        yield assay


@pytest.fixture
async def assay_on_sqlite(
    temporal_server: WorkflowEnvironment, tmp_path: Path, sqlite_url: str, task_queue: str
) -> AsyncIterator[Assay]:
    async with running(temporal_server, tmp_path, sqlite_url, task_queue) as assay:
        yield assay
