"""One process of the embedded stack: started, awaited, restarted, stopped."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from core.embedded import leash
from core.embedded.home import Home
from core.errors import NotStarted

ROOT = Path(__file__).resolve().parents[2]
"""The folder that holds `worker.py` and the packages."""

_POLL_SECONDS = 0.05
_LONGEST_BACKOFF_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Role:
    """What a process of the stack is. `log` names its log file, `grace` is in seconds."""

    name: str
    log: str
    command: Sequence[str]
    grace: float


class Child:
    def __init__(self, role: Role, home: Home) -> None:
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
                leash.__file__,
                str(os.getpid()),
                *self.role.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=_environment(),
                # Out of reach of the terminal's Ctrl-C: the parent decides who stops when.
                start_new_session=True,
            )
        finally:
            os.close(log)
        self._started = time.monotonic()

    async def until(self, ready: Callable[[], Awaitable[bool]], *, seconds: float) -> None:
        """Returns when `ready` says so. Raises NotStarted when the process ends before that."""
        deadline = time.monotonic() + seconds
        while not await ready():
            if await self._ended_within(_POLL_SECONDS):
                raise self._not_started(f"it ended ({self._ending})")
            if time.monotonic() > deadline:
                raise self._not_started(f"it was not ready after {seconds:.0f} seconds")

    async def keep_running(self, announce: Callable[[str], None]) -> None:
        """Starts the process again whenever it ends, later each time it does so at once."""
        while True:
            await self._running.wait()
            wait = self._backoff()
            announce(
                f"{self.role.name} ended ({self._ending}); "
                f"it starts again in {wait:.0f} s. Its log: {self.log}"
            )
            await asyncio.sleep(wait)
            await self.start()

    async def stop(self, *, hurry: asyncio.Event) -> None:
        """Asks it to end; kills what is left after the grace period, or once in a hurry."""
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
        # Its whole group: what the process itself started ends with it.
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
        """1 s, doubled for each end that came within a minute of its start."""
        lasted = time.monotonic() - self._started > 60
        self._failures = 0 if lasted else self._failures + 1
        return min(2.0 ** max(0, self._failures - 1), _LONGEST_BACKOFF_SECONDS)

    async def _ended_within(self, seconds: float) -> bool:
        try:
            await asyncio.wait_for(self._running.wait(), seconds)
        except TimeoutError:
            return False
        return True

    def _not_started(self, what: str) -> NotStarted:
        lines = self.log.read_text(errors="replace").strip().splitlines()
        last = f" Its last line: {lines[-1].strip()}" if lines else ""
        return NotStarted(f"{self.role.name} did not start: {what}. Its log: {self.log}.{last}")


def _environment() -> dict[str, str]:
    """Ours, and two heaps for the C library unless it says otherwise.

    With eight a core, its default, threads leave each its own holes behind, and a
    worker grows for hours. Python itself allocates elsewhere.
    """
    return {"MALLOC_ARENA_MAX": "2", **os.environ}  # noqa: TID251 - a child inherits all of it
