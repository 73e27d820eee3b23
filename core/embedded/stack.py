"""The local stack: Temporal's dev server, workers and the API as child processes."""

import asyncio
import math
import shutil
import signal
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import httpx

from core import clock
from core.concurrency import cancel_and_wait
from core.db.database import Database
from core.embedded.home import Home
from core.embedded.ports import CODEC_PORT, LOCALHOST
from core.embedded.process import ROOT, ProcessRole, SupervisedProcess, is_of_the_system
from core.errors import Misconfigured, Unavailable
from core.ids import Scope
from core.open_database import open_database
from core.queries import api_keys, projects, workers
from core.settings import Settings
from core.temporal import client as temporal_client
from core.temporal.renewal import stated_config

_CONNECT_SECONDS = 10
_LOOPBACK = (LOCALHOST, "localhost", "::1", "[::1]")
# The key is in the database by the time a child starts.
_BOOTSTRAP_KEY = "ASSAY_BOOTSTRAP_API_KEY"

_STOPPING = (
    "Stopping. Workers finish the judge calls in flight; press Ctrl-C again to end them at once."
)


@dataclass(frozen=True, slots=True)
class StackPlan:
    """What to start. `api_port` is never 0; `api_key` is stored if it is new."""

    settings: Settings
    home: Home
    workers: int
    api_port: int
    api_key: str

    @property
    def api_url(self) -> str:
        return f"http://{_reachable(self.settings.api_host)}:{self.api_port}"


def temporal_elsewhere() -> str | None:
    """Address of the Temporal server that the environment names; None if it names none and the
    embedded server must start.
    """
    return stated_config().get("target_host")


async def _check_elsewhere() -> None:
    """Raises Unavailable. A worker would wait for a missing server forever."""
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
    return stated_config().get("namespace") or "default"


class LocalStack:
    """Runs the local stack. Calls `announce` with each sentence for the person at the terminal."""

    def __init__(self, plan: StackPlan, announce: Callable[[str], None]) -> None:
        self._plan = plan
        self._announce = announce
        self._temporal: SupervisedProcess | None = None
        if temporal_elsewhere() is None:
            self._temporal = SupervisedProcess(temporal_role(plan), plan.home)
        self._workers = [
            SupervisedProcess(worker_role(plan, n), plan.home) for n in range(1, plan.workers + 1)
        ]
        self._api = SupervisedProcess(api_role(plan), plan.home)

    @property
    def children(self) -> list[SupervisedProcess]:
        """The child processes, in start order."""
        return [*([self._temporal] if self._temporal else []), *self._workers, self._api]

    async def serve(self, when_ready: Callable[[], Awaitable[None]]) -> None:
        """Starts everything, calls `when_ready`, and serves until SIGINT, SIGTERM or SIGHUP.

        A second signal kills the children at once. No child outlives this call.
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
                # A signal to the whole process group arrives twice within a short time.
                hurry.set()

        signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        for number in signals:
            loop.add_signal_handler(number, on_signal)
        work = asyncio.create_task(self._work(when_ready))
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({work, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                work.result()
        finally:
            stop.set()
            await cancel_and_wait(work, stopping)
            await self._stop(hurry)
            for number in signals:
                loop.remove_signal_handler(number)

    async def _work(self, when_ready: Callable[[], Awaitable[None]]) -> None:
        await self._start()
        try:
            async with asyncio.TaskGroup() as tasks:
                for child in self.children:
                    tasks.create_task(child.supervise(self._announce))
                await when_ready()
        except ExceptionGroup as group:
            raise group.exceptions[0] from None

    async def _start(self) -> None:
        if self._temporal:
            await self._temporal.start()
        else:
            await _check_elsewhere()
        async with open_database(self._plan.settings) as database:
            await self._make_key(database)
            started = clock.now()
            # The children wait for Temporal themselves, and load their libraries meanwhile.
            for child in (*self._workers, self._api):
                await child.start()
            if self._temporal:
                await self._temporal.wait_until(self._temporal_answers, seconds=60)
            for number, worker in enumerate(self._workers, start=1):

                async def ready(wanted: int = number) -> bool:
                    return await _workers_since(database, started) >= wanted

                await worker.wait_until(ready, seconds=120)
        await self._api.wait_until(self._api_answers, seconds=60)

    async def _make_key(self, database: Database) -> None:
        async with database.write() as db:
            project = await projects.ensure(db, self._plan.settings.bootstrap_project)
            new = api_keys.NewKey(
                "assay up", scope=Scope.ADMIN, project_id=project, any_project=True
            )
            await api_keys.ensure(db, new, self._plan.api_key)
            await api_keys.revoke_others(db, new, self._plan.api_key)

    async def _stop(self, hurry: asyncio.Event) -> None:
        """Stops the API first, so that no work arrives, and Temporal last, because workers need it
        to drain.
        """
        await self._api.stop(hurry=hurry)
        await asyncio.gather(*(worker.stop(hurry=hurry) for worker in self._workers))
        if self._temporal:
            await self._temporal.stop(hurry=hurry)

    async def _temporal_answers(self) -> bool:
        # The UI queries the server. A Temporal client in this process would delay the exit by
        # seconds.
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
    """How many workers have registered since `moment`."""
    async with database.read() as db:
        return await workers.count_started(db, since=moment)


def _reachable(host: str) -> str:
    """An address that clients can connect to: localhost for a server that listens on all
    addresses.
    """
    if host in ("0.0.0.0", "::", ""):
        return LOCALHOST
    return f"[{host}]" if ":" in host else host


def dynamic_config() -> list[str]:
    """Options of the development server that the scheduling of runs relies on."""
    values = {
        "matching.enableFairness": "true",
        "matching.useNewMatcher": "true",
        # Temporal keeps fairness per partition; four partitions would make it uneven.
        "matching.numTaskqueueReadPartitions": "1",
        "matching.numTaskqueueWritePartitions": "1",
    }
    return [
        part
        for name, value in values.items()
        for part in ("--dynamic-config-value", f"{name}={value}")
    ]


def temporal_role(plan: StackPlan) -> ProcessRole:
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
    # A write-ahead log halves the cost of Temporal's many small commits. A power cut may lose the
    # last commits, but leaves no commit incomplete; repeated work is found in Assay's own database.
    # The death of a process loses nothing.
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL"):
        command += ["--sqlite-pragma", pragma]
    command += dynamic_config()
    if settings.temporal_codec:
        command += ["--ui-codec-endpoint", f"http://{LOCALHOST}:{CODEC_PORT}"]
    for key in temporal_client.SEARCH_ATTRIBUTES:
        command += ["--search-attribute", f"{key.name}=Keyword"]
    command += ["--namespace", _namespace()]
    return ProcessRole("Temporal", "temporal", command, grace=15, inherits=is_of_the_system)


def worker_role(plan: StackPlan, number: int) -> ProcessRole:
    return ProcessRole(
        name="The worker" if plan.workers == 1 else f"Worker {number}",
        log=f"worker-{number}",
        command=[sys.executable, str(ROOT / "worker.py")],
        # The worker ends by itself after its own grace period.
        grace=plan.settings.shutdown_grace_seconds + 10,
        # Only workers call providers, and variables of providers may have any name.
        inherits=lambda variable: variable != _BOOTSTRAP_KEY,
        extra=_of_worker(plan.settings, number),
    )


def _of_worker(settings: Settings, number: int) -> dict[str, str]:
    extra = {}
    if temporal_elsewhere() is None:
        # The embedded server's file belongs to this database, so runs of another namespace mean
        # that the file was lost.
        extra["ASSAY_ADOPT_RUNS"] = "true"
    if settings.telemetry_port is not None:
        extra["ASSAY_TELEMETRY_PORT"] = str(settings.telemetry_port + number - 1)
    return extra


def api_role(plan: StackPlan) -> ProcessRole:
    # -P prevents the import of a folder named `api` from the working directory.
    command = [sys.executable, "-P", "-m", "uvicorn", "api.app:create_app", "--factory"]
    command += ["--app-dir", str(ROOT), "--loop", "uvloop"]
    command += ["--host", plan.settings.api_host, "--port", str(plan.api_port)]
    # This time-out ends event streams, which do not end by themselves; no other request takes this
    # long.
    command += ["--timeout-graceful-shutdown", "5", "--no-access-log", "--no-server-header"]
    command += ["--http", "api.http.timed_protocol:TimedProtocol"]
    return ProcessRole(
        name="The API",
        log="api",
        command=command,
        grace=10,
        inherits=_is_for_api,
        extra=_served_hosts(plan.settings),
    )


def _is_for_api(variable: str) -> bool:
    return is_of_the_system(variable) or (
        variable.startswith(("ASSAY_", "TEMPORAL_", "PG", "OTEL_")) and variable != _BOOTSTRAP_KEY
    )


def _served_hosts(settings: Settings) -> dict[str, str]:
    """On a loopback address, only these host names are served, because a page of another site must
    not reach the API under the site's host name.
    """
    if settings.allowed_hosts is not None or settings.api_host not in _LOOPBACK:
        return {}
    return {"ASSAY_ALLOWED_HOSTS": ",".join(_LOOPBACK)}
