"""The embedded stack and a mock judge as child processes, for benchmarks."""

import asyncio
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil

from core.embedded.ports import free_port

ROOT = Path(__file__).parent.parent
API_KEY = "bench-key-of-this-machine-only"
READY_SECONDS = 120


@dataclass
class Stack:
    """`processes` by role: `api`, `temporal`, `worker-1`, …; `temporal` is its address."""

    client: httpx.AsyncClient
    judge: httpx.AsyncClient
    processes: dict[str, psutil.Process]
    temporal: str

    @property
    def port(self) -> int:
        """The port of the API."""
        port = self.client.base_url.port
        assert port is not None
        return port

    def cpu_seconds(self) -> dict[str, float]:
        return {role: sum(process.cpu_times()[:2]) for role, process in self.processes.items()}

    def resident_mb(self) -> dict[str, float]:
        return {role: process.memory_info().rss / 2**20 for role, process in self.processes.items()}


@asynccontextmanager
async def mock_judge(*options: str) -> AsyncIterator[str]:
    """Yields its address, without the `/v1`."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "bench.mock_judge", "--port", "0", *options),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        port = int(await process.stdout.readline())
        yield f"http://127.0.0.1:{port}"
    finally:
        process.send_signal(signal.SIGTERM)
        await process.wait()


@asynccontextmanager
async def embedded(
    judge_url: str, *, workers: int = 1, settings: Mapping[str, str] | None = None
) -> AsyncIterator[Stack]:
    """`assay up` in a temporary folder, with the mock judge at `judge_url`."""
    with tempfile.TemporaryDirectory(prefix="assay-bench-") as home:
        port, temporal_port = free_port(), free_port()
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith("ASSAY_")
        } | {
            "ASSAY_HOME": home,
            "ASSAY_API_PORT": str(port),
            "ASSAY_TEMPORAL_PORT": str(temporal_port),
            "ASSAY_TEMPORAL_UI_PORT": str(free_port()),
            "ASSAY_BOOTSTRAP_API_KEY": API_KEY,
            "ASSAY_JUDGE_MODEL": "openai/gpt-4o-mini",
            "ASSAY_JUDGE_API_BASE": f"{judge_url}/v1",
            "OPENAI_API_KEY": "mock",
            "COLUMNS": "120",
            **(settings or {}),
        }
        log = Path(home) / "up.log"
        with log.open("wb") as out:
            up = await asyncio.create_subprocess_exec(
                *(str(Path(sys.executable).with_name("assay")), "up", "--no-demo"),
                *("--workers", str(workers)),
                cwd=ROOT,
                env=environment,
                stdout=out,
                stderr=out,
            )
        try:
            async with (
                httpx.AsyncClient(
                    base_url=f"http://127.0.0.1:{port}",
                    headers={"Authorization": f"Bearer {API_KEY}"},
                    timeout=60,
                ) as client,
                httpx.AsyncClient(base_url=judge_url) as judge,
            ):
                await _ready(up, log)
                yield Stack(client, judge, _roles(up.pid), f"127.0.0.1:{temporal_port}")
        finally:
            if up.returncode is None:
                up.send_signal(signal.SIGTERM)
            await up.wait()


async def _ready(up: asyncio.subprocess.Process, log: Path) -> None:
    async with asyncio.timeout(READY_SECONDS):
        while True:
            if up.returncode is not None:
                raise RuntimeError(f"The stack did not start:\n{log.read_text()}")
            if "Serving." in log.read_text():
                return
            await asyncio.sleep(0.1)


def _roles(pid: int) -> dict[str, psutil.Process]:
    roles: dict[str, psutil.Process] = {}
    for process in psutil.Process(pid).children(recursive=True):
        command = " ".join(process.cmdline())
        if "worker.py" in command:
            roles[f"worker-{sum(role.startswith('worker') for role in roles) + 1}"] = process
        elif "uvicorn" in command:
            roles["api"] = process
        elif "start-dev" in command:
            roles["temporal"] = process
    return roles


async def control(stack: Stack, **behaviour: Any) -> None:
    (await stack.judge.post("/control", json=behaviour)).raise_for_status()
