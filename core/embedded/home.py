"""The home folder of the embedded stack: its lock, credentials and logs."""

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from core import json_codec
from core.errors import Misconfigured

_MAX_LOG_BYTES = 10 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Credentials:
    """What `assay up` writes for the other commands to read."""

    url: str
    api_key: str = field(repr=False)


class Home:
    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self._credentials = self.path / "credentials.json"

    @property
    def temporal_store(self) -> Path:
        return self.path / "temporal.db"

    def log(self, name: str) -> Path:
        return self.path / "logs" / f"{name}.log"

    def open_log(self, name: str) -> int:
        """Opens the log for appending. A log above the size limit is first renamed to `.1`."""
        path = self.log(name)
        if path.exists() and path.stat().st_size > _MAX_LOG_BYTES:
            path.replace(path.with_suffix(".log.1"))
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Creates the folder, and locks it against other `assay up` processes.

        Raises Misconfigured.
        """
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.path.chmod(0o700)
            (self.path / "logs").mkdir(exist_ok=True)
        except OSError as error:
            raise Misconfigured(
                f"The home folder {self.path} cannot be used ({error.strerror}). "
                "Set ASSAY_HOME to a folder of yours."
            ) from error
        lock = self._lock()
        try:
            yield
        finally:
            # Unlink before unlocking: afterwards the name may belong to another process's file.
            (self.path / "up.lock").unlink(missing_ok=True)
            os.close(lock)

    def _lock(self) -> int:
        """The kernel releases the lock when the process ends, even if it was killed."""
        path = self.path / "up.lock"
        while True:
            lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                owner = os.read(lock, 32).decode(errors="replace").strip() or "unknown"
                os.close(lock)
                raise Misconfigured(
                    f"`assay up` already runs on {self.path} (process {owner}). "
                    "Stop it, or set ASSAY_HOME to another folder."
                ) from None
            if _is_file_at(lock, path):
                os.ftruncate(lock, 0)
                os.write(lock, f"{os.getpid()}\n".encode())
                return lock
            os.close(lock)

    def credentials(self) -> Credentials | None:
        """None before the first start. Raises Misconfigured when the file cannot be read."""
        try:
            text = self._credentials.read_text(errors="replace")
        except FileNotFoundError:
            return None
        except OSError as error:
            raise Misconfigured(
                f"{self._credentials} cannot be read ({error.strerror})."
            ) from error
        try:
            found = json_codec.loads(text)
            return Credentials(url=str(found["url"]), api_key=str(found["api_key"]))
        except (ValueError, KeyError, TypeError):
            raise Misconfigured(
                f"{self._credentials} is damaged. Delete it; the next `assay up` makes a new key."
            ) from None

    def save(self, credentials: Credentials) -> None:
        """Replaces the file atomically; only its owner can read it."""
        descriptor, name = tempfile.mkstemp(dir=self.path, prefix="credentials.")
        with os.fdopen(descriptor, "w") as file:
            file.write(json_codec.dumps(asdict(credentials)) + "\n")
        Path(name).replace(self._credentials)


def _is_file_at(descriptor: int, path: Path) -> bool:
    """False if the file was unlinked between opening and locking it."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
