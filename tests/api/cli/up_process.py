"""A real `assay up` in a separate process, and other commands that use it."""

import os
import queue
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import psutil

from tests.ports import free_port

ROOT = Path(__file__).parents[3]
ASSAY = [sys.executable, "-c", "import cli; cli.app(prog_name='assay')"]


def settings_for(home: Path) -> dict[str, str]:
    api, temporal, ui = (free_port() for _ in range(3))
    return {
        "ASSAY_HOME": str(home),
        "ASSAY_API_PORT": str(api),
        "ASSAY_TEMPORAL_PORT": str(temporal),
        "ASSAY_TEMPORAL_UI_PORT": str(ui),
    }


def environment_of(settings: dict[str, str]) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "NO_COLOR": "1", "COLUMNS": "120", **settings}


def assay(
    settings: dict[str, str],
    *arguments: str,
    stdin: bytes | None = None,
    seconds: float = 120,
    cwd: Path | None = None,
) -> subprocess.CompletedProcess[str]:
    """Runs one command to its end. Fails on a traceback."""
    done = subprocess.run(
        [*ASSAY, *arguments],
        env=environment_of(settings),
        cwd=cwd or settings["ASSAY_HOME"],
        input=stdin,
        capture_output=True,
        timeout=seconds,
        check=False,
    )
    out, err = done.stdout.decode(), done.stderr.decode()
    assert "Traceback" not in err, err
    return subprocess.CompletedProcess(done.args, done.returncode, out, err)


class Up:
    """`assay up` from its start until `stop` or `kill`."""

    def __init__(self, settings: dict[str, str], *arguments: str) -> None:
        home = Path(settings["ASSAY_HOME"])
        home.mkdir(parents=True, exist_ok=True)
        self.settings = settings
        self.shown: list[str] = []
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._process = subprocess.Popen(
            [*ASSAY, "up", *arguments],
            env=environment_of(settings),
            cwd=home,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def screen(self) -> str:
        return "\n".join(self.shown)

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line.rstrip())
        self._lines.put(None)

    def until(self, text: str, *, seconds: float = 120) -> None:
        """Reads until a line contains the text."""
        while True:
            line = self._lines.get(timeout=seconds)
            assert line is not None, f"it ended before {text!r}:\n{self.screen}"
            self.shown.append(line)
            if text in line:
                return

    def family(self) -> list[psutil.Process]:
        return list(psutil.Process(self._process.pid).children(recursive=True))

    def worker(self) -> psutil.Process:
        return next(p for p in self.family() if any(a.endswith("worker.py") for a in p.cmdline()))

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Stops it, and returns its exit code."""
        if self._process.poll() is None:
            self._process.send_signal(number)
        return self.end()

    def end(self) -> int:
        """Waits until it ends by itself, and returns its exit code."""
        code = self._process.wait(timeout=60)
        while (line := self._lines.get(timeout=20)) is not None:
            self.shown.append(line)
        return code

    def clean_up(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self._reader.join()
        assert self._process.stdout is not None
        self._process.stdout.close()


def still_running(family: list[psutil.Process], *, seconds: float = 20) -> list[Any]:
    """Processes that do not end in time, without zombies."""
    _, alive = psutil.wait_procs(family, timeout=seconds)
    return [p for p in alive if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]
