"""Whole transactions on SQLite, each in one call to a thread."""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

from sqlalchemy.engine import URL, Engine

from core.db import dialect
from core.db.sessions import Reader, Writer
from core.db.totals import Totals

T = TypeVar("T")

MAX_READS: Final = 4
"""Threads that read. Each has a connection of its own."""


class AtOnce:
    """Writes happen one after the other."""

    def __init__(self, url: URL, totals: Totals) -> None:
        self._totals = totals
        self._engine = dialect.create_thread_engine(url, pool_size=1 + MAX_READS)
        self._writing_engine = self._engine.execution_options(writes=True)
        self._readers = ThreadPoolExecutor(MAX_READS, thread_name_prefix="reader")
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="writer")

    async def read(self, work: Callable[[Reader], Awaitable[T]]) -> T:
        return await _run(self._readers, lambda: self._transact(work, self._engine))

    async def write(self, work: Callable[[Writer], Awaitable[T]]) -> T:
        return await _run(self._writer, lambda: self._transact(work, self._writing_engine))

    async def close(self) -> None:
        await _run(self._writer, self._readers.shutdown)
        await _run(self._writer, self._engine.dispose)
        self._writer.shutdown()

    def _transact(self, work: Callable[[Writer], Awaitable[T]], engine: Engine) -> T:
        writer = _BlockingWriter(engine, self._totals)
        with writer.sync_session as session, session.begin():
            return _result_now(work(writer))


async def _run(threads: ThreadPoolExecutor, work: Callable[[], T]) -> T:
    return await asyncio.get_running_loop().run_in_executor(threads, work)


class _BlockingWriter(Writer):
    """A session whose methods have their result when they are called."""

    def __init__(self, engine: Engine, totals: Totals) -> None:
        super().__init__(None, totals)
        self.sync_session.bind = engine

    async def execute(self, *statement: Any, **options: Any) -> Any:
        # That of the base class closes the cursors of an asynchronous driver.
        return self.sync_session.execute(*statement, **options)


def _result_now(awaited: Awaitable[T]) -> T:
    """Without an event loop, which only something that really waits would need."""
    steps = awaited.__await__()
    try:
        next(steps)
    except StopIteration as end:
        result: T = end.value
        return result
    steps.close()
    raise RuntimeError("The work of a transaction may await nothing but its session.")
