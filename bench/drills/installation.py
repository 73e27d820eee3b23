"""An installation whose processes a drill starts, replaces and stops one by one."""

import asyncio
import os
import signal
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import httpx
import psutil
from sqlalchemy.exc import SQLAlchemyError

from bench.stack import API_KEY, READY_SECONDS, Stack
from core.db.database import Database
from core.embedded.home import Home
from core.embedded.ports import free_port
from core.embedded.process import ProcessRole, SupervisedProcess, is_of_the_system
from core.embedded.stack import StackPlan, api_role, temporal_role, worker_role
from core.queries import workers
from core.settings import Settings

LOOK_SECONDS: Final = 0.05
PROVIDER_KEY: Final = "mock"


@dataclass
class Installation:
    """Temporal, APIs and workers on one database. `stack` is what a client of it sees.

    Processes are called `temporal`, `api`, `api-2`, `worker-1`, … `partitions` are those of each
    task queue.
    """

    plan: StackPlan
    variables: dict[str, str]
    stack: Stack
    database: Database
    partitions: int = 1
    _supervised: dict[str, SupervisedProcess] = field(default_factory=dict)

    async def start(
        self, name: str, variables: Mapping[str, str] | None = None, *, port: int | None = None
    ) -> None:
        """Starts a process and waits until it serves.

        `port` is the port of another API. `variables` are set for this process alone.
        """
        plan = self.plan if port is None else replace(self.plan, api_port=port)
        role = _role(plan, name, self.partitions)
        own = {**self.variables, **role.extra, **(variables or {})}
        process = SupervisedProcess(
            replace(role, log=name, inherits=is_of_the_system, extra=own), self.plan.home
        )
        self._supervised[name] = process
        await process.start()
        assert process.pid is not None
        pid = process.pid
        self.stack.processes[name] = psutil.Process(pid)
        ready: dict[str, Callable[[], Awaitable[bool]]] = {
            "api": lambda: self.is_ready(plan.api_port),
            "worker": lambda: self._is_registered(pid),
            "temporal": self._temporal_listens,
        }
        await process.wait_until(ready[name.partition("-")[0]], seconds=READY_SECONDS)

    async def start_all(self, *names: str) -> None:
        """Starts processes at the same time; those that need others wait for them."""
        async with asyncio.TaskGroup() as starting:
            for name in names:
                starting.create_task(self.start(name))

    async def stop(self, name: str) -> None:
        """Sends SIGTERM and waits. A worker finishes its open judge calls."""
        await self._end(name, hurry=False)

    async def kill(self, name: str) -> None:
        """Sends SIGKILL."""
        self.stack.processes[name].send_signal(signal.SIGKILL)
        await self._end(name, hurry=True)

    async def close(self) -> None:
        """Ends all processes that run, Temporal last."""
        for name in sorted(self._supervised, key="temporal".__eq__):
            await self._end(name, hurry=True)
        await self.database.close()

    async def temporal(self, *arguments: str) -> str:
        """The output of Temporal's command line. Raises RuntimeError with its message."""
        process = await asyncio.create_subprocess_exec(
            *(temporal_role(self.plan).command[0], *arguments, "--address", self.stack.temporal),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, error = await process.communicate()
        if process.returncode:
            raise RuntimeError(error.decode(errors="replace").strip())
        return out.decode()

    def log(self, name: str) -> str:
        return self.plan.home.log(name).read_text(errors="replace")

    async def is_ready(self, port: int | None = None) -> bool:
        at = self.plan.api_port if port is None else port
        try:
            answer = await self.stack.client.get(f"http://127.0.0.1:{at}/ready")
        except httpx.TransportError:
            return False
        return answer.is_success

    async def _end(self, name: str, *, hurry: bool) -> None:
        at_once = asyncio.Event()
        if hurry:
            at_once.set()
        await self._supervised.pop(name).stop(hurry=at_once)
        del self.stack.processes[name]

    async def _is_registered(self, pid: int) -> bool:
        """False also if the database has no tables yet."""
        try:
            async with self.database.read() as db:
                lives = await workers.lives(db)
        except (SQLAlchemyError, OSError):
            return False
        return any(life.worker_id.startswith(f"{pid}-") for life in lives)

    async def _temporal_listens(self) -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", self.plan.settings.temporal_port)
        except OSError:
            return False
        writer.close()
        return True


def _role(plan: StackPlan, name: str, partitions: int) -> ProcessRole:
    kind = name.partition("-")[0]
    if kind == "temporal":
        role = temporal_role(plan)
        chosen = f"Partitions={partitions}"
        return replace(
            role, command=[part.replace("Partitions=1", chosen) for part in role.command]
        )
    if kind == "worker":
        # The role of `assay up` would adopt the runs of a lost Temporal; an operator decides that.
        return replace(worker_role(plan, 1), extra={})
    return api_role(plan)


@asynccontextmanager
async def installation(
    judge_url: str, database_url: str | None = None, settings: Mapping[str, str] | None = None
) -> AsyncIterator[Installation]:
    """In a temporary folder and on free ports; nothing runs yet.

    Without a URL, the database is SQLite in this folder. `settings` are environment variables of
    every process.
    """
    with tempfile.TemporaryDirectory(prefix="assay-drill-") as folder:
        home = Home(Path(folder))
        (home.path / "logs").mkdir()
        temporal_port = free_port()
        variables = {
            "ASSAY_HOME": folder,
            "ASSAY_DATABASE_URL": database_url or f"sqlite:///{folder}/assay.db",
            "ASSAY_API_PORT": str(free_port()),
            "ASSAY_TEMPORAL_PORT": str(temporal_port),
            "ASSAY_TEMPORAL_UI_PORT": str(free_port()),
            "ASSAY_BOOTSTRAP_API_KEY": API_KEY,
            "ASSAY_JUDGE_MODEL": "openai/gpt-4o-mini",
            "ASSAY_JUDGE_API_BASE": f"{judge_url}/v1",
            "OPENAI_API_KEY": PROVIDER_KEY,
            **(settings or {}),
        }
        known = {name.removeprefix("ASSAY_").lower(): value for name, value in variables.items()}
        chosen = Settings.model_validate(known)
        plan = StackPlan(chosen, home, workers=1, api_port=chosen.api_port, api_key=API_KEY)
        async with (
            httpx.AsyncClient(
                base_url=plan.api_url, headers={"Authorization": f"Bearer {API_KEY}"}, timeout=60
            ) as client,
            httpx.AsyncClient(base_url=judge_url) as judge,
        ):
            stack = Stack(client, judge, {}, f"127.0.0.1:{temporal_port}")
            made = Installation(plan, variables, stack, Database(chosen.database))
            try:
                yield made
            finally:
                await made.close()


async def until(condition: Callable[[], Awaitable[Any]], *, seconds: float = 120) -> None:
    """Waits for a condition. Raises TimeoutError."""
    async with asyncio.timeout(seconds):
        while True:
            if await condition():
                return
            await asyncio.sleep(LOOK_SECONDS)


def processors() -> str:
    """The machine in a title: cores and their load before the drill."""
    return f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
