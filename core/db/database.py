"""Transactions. The edge (a request, an activity) opens them; queries never commit."""

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final, TypeVar

from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import QueuePool

from core.db import dialect
from core.db.at_once import AtOnce
from core.db.sessions import Reader, Writer
from core.db.totals import Totals

__all__ = ["Database", "Reader", "Writer"]

T = TypeVar("T")

WRITE_LOCK_SECONDS: Final = 5.0
"""How long a writer waits for other writers of this process.

While the database is locked, a longer wait would be in vain.
"""

MAX_CLOSE_SECONDS: Final = 5.0
_LOOK_SECONDS: Final = 0.01

log = logging.getLogger("assay.database")


class Database:
    """The engine of a process, and the list totals that the process remembers."""

    def __init__(self, url: str, *, pool_size: int | None = None) -> None:
        parsed = dialect.parse_url(url)
        if parsed.get_backend_name() == "sqlite" and parsed.database:
            _keep_private(Path(parsed.database))
        self.engine = dialect.create_engine(parsed, pool_size=pool_size)
        self.totals = Totals()
        # SQLite polls for its write lock, so writers may starve. This lock is fair.
        self._write_lock = asyncio.Lock() if dialect.is_single_writer(self.engine) else None
        self._at_once = AtOnce(parsed, self.totals) if self._write_lock else None
        self.writing_engine = self.engine.execution_options(writes=True)
        self._reading_engine = dialect.repeatable_read(self.engine)
        self._autocommit_engine = dialect.autocommit(self.engine)

    @asynccontextmanager
    async def read(self) -> AsyncIterator[Reader]:
        async with Reader(self._reading_engine, self.totals, autoflush=False) as session:
            yield session

    @asynccontextmanager
    async def read_autocommit(self) -> AsyncIterator[Reader]:
        """For a single SELECT.

        One statement is already a consistent snapshot; BEGIN and COMMIT would double its cost.
        """
        async with Reader(self._autocommit_engine, self.totals, autoflush=False) as session:
            yield session

    @asynccontextmanager
    async def write(self) -> AsyncIterator[Writer]:
        """Commits when the block ends, rolls back when it raises.

        Raises the error of an exhausted pool if the write lock is not free in time.
        """
        async with AsyncExitStack() as stack:
            if self._write_lock is not None:
                await _acquire(self._write_lock)
                stack.callback(self._write_lock.release)
            session = await stack.enter_async_context(Writer(self.writing_engine, self.totals))
            async with session.begin():
                yield session

    async def read_at_once(
        self, work: Callable[[Reader], Awaitable[T]], *, one_statement: bool = False
    ) -> T:
        """The result of `work`, which reads in a few ms and awaits nothing but its session.

        On SQLite, a thread runs all of it at once. Through the event loop, each statement waits
        several times for whatever else the loop does. `one_statement`: see `read_autocommit`.

        Raises what `work` raises.
        """
        if self._at_once is None:
            async with self.read_autocommit() if one_statement else self.read() as db:
                return await work(db)
        return await self._at_once.read(work)

    async def write_at_once(self, work: Callable[[Writer], Awaitable[T]]) -> T:
        """Like `read_at_once`, for a transaction that writes, while others wait to write.

        Raises what `work` and `write` raise.
        """
        if self._at_once is None or self._write_lock is None:
            async with self.write() as db:
                return await work(db)
        await _acquire(self._write_lock)
        try:
            return await self._at_once.write(work)
        finally:
            self._write_lock.release()

    async def close(self) -> None:
        """Waits for connections in use, up to `MAX_CLOSE_SECONDS`.

        A task may use one beyond the end of its owner: it was cancelled a moment ago, or other
        tasks share its result. A connection that returns to a closed pool would stay open.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(MAX_CLOSE_SECONDS):
                while self._in_use():  # noqa: ASYNC110  the pool's event comes before the return
                    await asyncio.sleep(_LOOK_SECONDS)
        if left := self._in_use():
            log.warning("The database closes while %d of its connections are in use", left)
        await self.engine.dispose()
        if self._at_once is not None:
            await self._at_once.close()

    def _in_use(self) -> int:
        pool = self.engine.pool
        return pool.checkedout() if isinstance(pool, QueuePool) else 0


def _keep_private(path: Path) -> None:
    """Creates the file, and a missing folder, with access for this user only.

    SQLite gives its other files the same mode.
    """
    if path.name.startswith((":memory:", "file:")):
        return
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        path.chmod(path.stat().st_mode & 0o770)
    except OSError:
        return  # The first connection reports the problem.


async def _acquire(lock: asyncio.Lock) -> None:
    try:
        # Not asyncio.wait_for: before Python 3.12 it loses a cancellation that comes with the lock.
        async with asyncio.timeout(WRITE_LOCK_SECONDS):
            await lock.acquire()
    except TimeoutError:
        raise PoolTimeout(
            f"Other writers have kept the database for {WRITE_LOCK_SECONDS:.0f} seconds."
        ) from None
