"""Starts, awaits, restarts and stops one process of the embedded stack."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from core.embedded import parent_death
from core.embedded.home import Home
from core.errors import NotStarted

ROOT = Path(__file__).resolve().parents[2]
"""The folder that holds `worker.py` and the packages."""

_POLL_SECONDS = 0.05
_MAX_BACKOFF_SECONDS = 30.0


_SYSTEM_PREFIXES = ("LC_", "PYTHON", "COV", "MALLOC_", "XDG_", "SSL_CERT_")
_SYSTEM = {
    *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TERM", "TMPDIR"),
    *("VIRTUAL_ENV", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT"),
}


def is_of_the_system(variable: str) -> bool:
    """Whether the variable is general: any program may need it, and it holds no credential."""
    return variable in _SYSTEM or variable.startswith(_SYSTEM_PREFIXES)


@dataclass(frozen=True, slots=True)
class ProcessRole:
    """How to start a process. `log` is the name of its log file; `grace` is in seconds.

    `inherits` decides which environment variables of this process the child gets; `extra` is added
    to them.
    """

    name: str
    log: str
    command: Sequence[str]
    grace: float
    inherits: Callable[[str], bool] = lambda _: True
    extra: Mapping[str, str] = field(default_factory=dict)


class SupervisedProcess:
    def __init__(self, role: ProcessRole, home: Home) -> None:
        self.role = role
        self._home = home
        self._process: asyncio.subprocess.Process | None = None
        self._started = 0.0
        self._failures = 0

    @property
    def log(self) -> Path:
        return self._home.log(self.role.log)

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    async def start(self) -> None:
        log = self._home.open_log(self.role.log)
        try:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                parent_death.__file__,
                str(os.getpid()),
                *self.role.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment(self.role),
                # Ctrl-C in the terminal must not reach the child: the parent decides the order of
                # the shutdown.
                start_new_session=True,
            )
        finally:
            os.close(log)
        self._started = time.monotonic()

    async def wait_until(self, ready: Callable[[], Awaitable[bool]], *, seconds: float) -> None:
        """Waits until `ready` returns true. Raises NotStarted if the process ends first."""
        deadline = time.monotonic() + seconds
        while not await ready():
            if await self._ended_within(_POLL_SECONDS):
                raise self._not_started(f"it ended ({self._ending})")
            if time.monotonic() > deadline:
                raise self._not_started(f"it was not ready after {seconds:.0f} seconds")

    async def supervise(self, announce: Callable[[str], None]) -> None:
        """Restarts the process whenever it ends, with a longer delay after each early end."""
        while True:
            await self._running.wait()
            wait = self._backoff()
            announce(
                f"{self.role.name} ended ({self._ending}); "
                f"it restarts in {wait:.0f} s. Its log: {self.log}"
            )
            await asyncio.sleep(wait)
            await self.start()

    async def stop(self, *, hurry: asyncio.Event) -> None:
        """Sends SIGTERM, then SIGKILL after the grace period or as soon as `hurry` is set."""
        process = self._process
        if process is None:
            return
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            ended = asyncio.ensure_future(process.wait())
            hurried = asyncio.ensure_future(hurry.wait())
            await asyncio.wait(
                {ended, hurried}, timeout=self.role.grace, return_when=asyncio.FIRST_COMPLETED
            )
            hurried.cancel()
        # Signals the whole process group, which includes processes that the child has started.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()

    @property
    def _running(self) -> asyncio.subprocess.Process:
        assert self._process is not None, "start() comes first"
        return self._process

    @property
    def _ending(self) -> str:
        code = self._running.returncode
        if code is not None and code < 0:
            return f"killed by {signal.Signals(-code).name}"
        return f"exit code {code}"

    def _backoff(self) -> float:
        """1 s, doubled for each consecutive end within a minute of the start."""
        lasted = time.monotonic() - self._started > 60
        self._failures = 0 if lasted else self._failures + 1
        return min(2.0 ** max(0, self._failures - 1), _MAX_BACKOFF_SECONDS)

    async def _ended_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._running.wait()
        except TimeoutError:
            return False
        return True

    def _not_started(self, reason: str) -> NotStarted:
        lines = self.log.read_text(errors="replace").strip().splitlines()
        last = f" Its last line: {lines[-1].strip()}" if lines else ""
        return NotStarted(f"{self.role.name} did not start: {reason}. Its log: {self.log}.{last}")


def environment(role: ProcessRole) -> dict[str, str]:
    """The environment variables that the role needs; provider keys reach the workers only.

    Limits the C library to two heaps unless the environment sets another number. With the default
    of eight heaps per core, threads fragment each heap and a worker grows for hours.
    """
    inherited = {name: value for name, value in os.environ.items() if role.inherits(name)}  # noqa: TID251 - children inherit from it
    return {"MALLOC_ARENA_MAX": "2", **inherited, **role.extra}
