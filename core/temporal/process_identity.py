"""The name of a process in Temporal and in the store."""

import hashlib
import os
import secrets
import socket
from pathlib import Path
from typing import Final

_PROCESSES: Final = Path("/proc")
_BOOT: Final = _PROCESSES / "sys/kernel/random/boot_id"
_STATE_FIELD: Final = 0
_START_FIELD: Final = 19
"""Fields of /proc/PID/stat, counted after the name of the program."""


def _start_of(pid: int) -> str | None:
    """Marks one start of a process, the same for every reader on this machine.

    None if no such process runs, or if the system is not Linux. The clock plays no part, because it
    may be set while the process runs.
    """
    try:
        stat = (_PROCESSES / str(pid) / "stat").read_text(errors="replace")
        boot = _BOOT.read_text()
    except OSError:
        return None
    # The name is in parentheses, and may contain spaces and parentheses itself.
    fields = stat.rpartition(")")[2].split()
    if fields[_STATE_FIELD] == "Z":
        return None  # ended; only its parent has not noticed yet
    return hashlib.blake2b(f"{boot} {fields[_START_FIELD]}".encode(), digest_size=3).hexdigest()


_OWN_START: Final = _start_of(os.getpid())
_START: Final = _OWN_START or secrets.token_hex(3)


def process_identity() -> str:
    """Process id, a mark of the start and the host, such as `7-1f3a9c@host`.

    Unique per start of a process: in a container, every start has the same process id and host.
    """
    return f"{os.getpid()}-{_START}@{socket.gethostname()}"


def is_running(identity: str) -> bool:
    """Whether the process with this identity runs, if asked on its machine, or in its container.

    Outside Linux, any running process with this process id counts.
    """
    process, _, host = identity.rpartition("@")
    pid, _, start = process.partition("-")
    if host != socket.gethostname() or not pid.isdecimal():
        return False
    if _OWN_START is not None:
        return start == _start_of(int(pid))
    try:
        os.kill(int(pid), 0)
    except PermissionError:
        return True
    except (ProcessLookupError, OverflowError):
        return False
    return True
