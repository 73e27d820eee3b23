"""Everything on one machine: Temporal's dev server, workers and the API as child processes."""

import asyncio
import math
import shutil
import signal
import socket
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import httpx
from sqlalchemy import func, select
from sqlmodel import col
from temporalio.envconfig import ClientConfig

from core import clock, temporal
from core.database import Database
from core.embedded.child import ROOT, Child, Role
from core.embedded.home import Home
from core.errors import Misconfigured, Unavailable
from core.ids import Scope
from core.queries import keys, projects
from core.settings import Settings
from core.store import opened
from core.tables import Worker

LOCALHOST = "127.0.0.1"
_CONNECT_SECONDS = 10

_STOPPING = (
    "Stopping. Workers finish the judge calls they have begun; Ctrl-C again ends them at once."
)


@dataclass(frozen=True, slots=True)
class Plan:
    """What to start. `api_port` is never 0; `api_key` is stored where it is not known yet."""

    settings: Settings
    home: Home
    workers: int
    api_port: int
    api_key: str

    @property
    def api_url(self) -> str:
        return f"http://{_reachable(self.settings.api_host)}:{self.api_port}"


def temporal_elsewhere() -> str | None:
    """The Temporal that the environment names; None: the embedded one is started."""
    return ClientConfig.load_client_connect_config().get("target_host")


async def _check_elsewhere() -> None:
    """Raises Unavailable. A worker would wait for it without an end."""
    address = temporal_elsewhere() or ""
    host, _, port = address.rpartition(":")
    try:
        async with asyncio.timeout(_CONNECT_SECONDS):
            _, writer = await asyncio.open_connection(host.strip("[]"), int(port))
    except (OSError, ValueError, TimeoutError):
        raise Unavailable(
            f"Temporal at {address}",
            "Start it, or unset TEMPORAL_ADDRESS to have one started here.",
        ) from None
    writer.close()


def _namespace() -> str:
    return ClientConfig.load_client_connect_config().get("namespace") or "default"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOCALHOST, 0))
        return int(probe.getsockname()[1])


def check_ports(settings: Settings) -> None:
    """Raises Misconfigured for a port that is asked for twice, or that another process holds."""
    wanted = [(settings.api_host, settings.api_port, "The API", "ASSAY_API_PORT")]
    if temporal_elsewhere() is None:
        wanted += [
            (LOCALHOST, settings.temporal_port, "Temporal", "ASSAY_TEMPORAL_PORT"),
            (LOCALHOST, settings.temporal_ui_port, "Temporal's UI", "ASSAY_TEMPORAL_UI_PORT"),
        ]
    given: dict[int, str] = {}
    for host, port, user, setting in wanted:
        if port in given:
            raise Misconfigured(f"{given[port]} and {setting} are both {port}. Change one.")
        given[port] = setting
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            # As servers do: a port whose last connections are still closing counts as free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError as error:
                raise Misconfigured(
                    f"{user} needs port {port} on {host}, which is not free "
                    f"({error.strerror}). Stop what uses it, or set {setting} to another port."
                ) from None


class Stack:
    """`announce` is told, in one sentence, what the person at the terminal should know."""

    def __init__(self, plan: Plan, announce: Callable[[str], None]) -> None:
        self._plan = plan
        self._announce = announce
        self._temporal: Child | None = None
        if temporal_elsewhere() is None:
            self._temporal = Child(temporal_role(plan), plan.home)
        self._workers = [Child(worker_role(plan, n), plan.home) for n in range(1, plan.workers + 1)]
        self._api = Child(api_role(plan), plan.home)

    @property
    def children(self) -> list[Child]:
        """In the order of their start."""
        return [*([self._temporal] if self._temporal else []), *self._workers, self._api]

    async def serve(self, when_ready: Callable[[], Awaitable[None]]) -> None:
        """Starts everything, calls `when_ready`, and serves until SIGINT, SIGTERM or SIGHUP.

        A second signal stops the children at once. However this ends, no child is left.
        """
        stop, hurry = asyncio.Event(), asyncio.Event()
        loop = asyncio.get_running_loop()
        first = math.inf

        def on_signal() -> None:
            nonlocal first
            if not stop.is_set():
                first = loop.time()
                stop.set()
                self._announce(_STOPPING)
            elif loop.time() - first > 1:
                # Sooner it is the same wish: sent to a whole process group, it arrives twice.
                hurry.set()

        signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        for number in signals:
            loop.add_signal_handler(number, on_signal)
        work = asyncio.create_task(self._work(when_ready))
        asked = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({work, asked}, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                work.result()
        finally:
            stop.set()
            asked.cancel()
            work.cancel()
            await asyncio.wait({work, asked})
            await self._stop(hurry)
            for number in signals:
                loop.remove_signal_handler(number)

    async def _work(self, when_ready: Callable[[], Awaitable[None]]) -> None:
        await self._start()
        try:
            async with asyncio.TaskGroup() as tasks:
                for child in self.children:
                    tasks.create_task(child.keep_running(self._announce))
                await when_ready()
        except ExceptionGroup as group:
            raise group.exceptions[0] from None

    async def _start(self) -> None:
        if self._temporal:
            await self._temporal.start()
        else:
            await _check_elsewhere()
        async with opened(self._plan.settings) as database:
            await self._make_key(database)
            started = clock.now()
            # They wait for Temporal by themselves, and load much meanwhile.
            for child in (*self._workers, self._api):
                await child.start()
            if self._temporal:
                await self._temporal.until(self._temporal_answers, seconds=60)
            for number, worker in enumerate(self._workers, start=1):

                async def ready(wanted: int = number) -> bool:
                    return await _workers_since(database, started) >= wanted

                await worker.until(ready, seconds=120)
        await self._api.until(self._api_answers, seconds=60)

    async def _make_key(self, database: Database) -> None:
        async with database.write() as db:
            project = await projects.ensure(db, self._plan.settings.bootstrap_project)
            new = keys.NewKey("assay up", scope=Scope.ADMIN, project_id=project)
            await keys.ensure(db, new, self._plan.api_key)

    async def _stop(self, hurry: asyncio.Event) -> None:
        """The API first, so that no work arrives; Temporal last: workers drain through it."""
        await self._api.stop(hurry=hurry)
        await asyncio.gather(*(worker.stop(hurry=hurry) for worker in self._workers))
        if self._temporal:
            await self._temporal.stop(hurry=hurry)

    async def _temporal_answers(self) -> bool:
        # Its UI asks the server behind it. A client of Temporal in this process would
        # hold up its end by seconds.
        ui = f"http://{LOCALHOST}:{self._plan.settings.temporal_ui_port}"
        return await _answers(f"{ui}/api/v1/namespaces/{_namespace()}")

    async def _api_answers(self) -> bool:
        return await _answers(f"{self._plan.api_url}/ready")


async def _answers(url: str) -> bool:
    async with httpx.AsyncClient(trust_env=False) as client:
        try:
            answer = await client.get(url, timeout=5)
        except httpx.TransportError:
            return False
    return answer.is_success


async def _workers_since(database: Database, moment: datetime) -> int:
    """How many workers have published what they offer since then."""
    async with database.read() as db:
        seen = select(func.count()).where(col(Worker.started_at) >= moment)
        return (await db.execute(seen)).scalar_one()


def _reachable(host: str) -> str:
    """An address to call: a server that listens on every address is called on this machine."""
    if host in ("0.0.0.0", "::", ""):
        return LOCALHOST
    return f"[{host}]" if ":" in host else host


def dynamic_config() -> list[str]:
    """Options of the development server that runs rely on."""
    values = {
        "matching.enableFairness": "true",
        "matching.useNewMatcher": "true",
        # Each partition of a queue takes turns by itself: with four they come out uneven.
        "matching.numTaskqueueReadPartitions": "1",
        "matching.numTaskqueueWritePartitions": "1",
    }
    return [
        part
        for name, value in values.items()
        for part in ("--dynamic-config-value", f"{name}={value}")
    ]


def temporal_role(plan: Plan) -> Role:
    beside = Path(sys.executable).parent / "temporal"
    binary = str(beside) if beside.exists() else shutil.which("temporal")
    if binary is None:
        raise Misconfigured(
            "The Temporal server is not installed. `make setup` installs it; to use another "
            "one, set TEMPORAL_ADDRESS."
        )
    settings = plan.settings
    command = [binary, "server", "start-dev", "--ip", LOCALHOST]
    command += ["--port", str(settings.temporal_port)]
    command += ["--ui-port", str(settings.temporal_ui_port), "--ui-disable-news-fetch"]
    command += ["--db-filename", str(plan.home.temporal_store), "--log-level", "warn"]
    # Without a write-ahead log each of Temporal's many small commits costs twice the time. A power
    # cut may undo its last moments, never tear them: our store, which forgets nothing, finds again
    # what is then repeated. A process that dies undoes nothing.
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL"):
        command += ["--sqlite-pragma", pragma]
    command += dynamic_config()
    for key in temporal.SEARCH_ATTRIBUTES:
        command += ["--search-attribute", f"{key.name}=Keyword"]
    command += ["--namespace", _namespace()]
    return Role("Temporal", "temporal", command, grace=15)


def worker_role(plan: Plan, number: int) -> Role:
    return Role(
        name="The worker" if plan.workers == 1 else f"Worker {number}",
        log=f"worker-{number}",
        command=[sys.executable, str(ROOT / "worker.py")],
        # The worker ends by itself when its own grace period is over.
        grace=plan.settings.shutdown_grace_seconds + 10,
    )


def api_role(plan: Plan) -> Role:
    # -P: a folder named `api` where the user happens to stand is not ours.
    command = [sys.executable, "-P", "-m", "uvicorn", "api.app:create_app", "--factory"]
    command += ["--app-dir", str(ROOT), "--loop", "uvloop"]
    command += ["--host", plan.settings.api_host, "--port", str(plan.api_port)]
    # Streams of events never end by themselves; no other request takes this long.
    command += ["--timeout-graceful-shutdown", "5", "--no-access-log"]
    return Role(
        name="The API",
        log="api",
        command=command,
        grace=10,
    )
