"""Transactions. The edge (a request, an activity) opens one; queries never commit."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncSession

from core import dialect


class Reader(AsyncSession):
    """A session that reads one consistent snapshot."""


class Writer(Reader):
    """A session whose transaction may write. Passes wherever a Reader is asked for."""


class Database:
    """One engine for one process."""

    def __init__(self, url: str) -> None:
        parsed = dialect.parse_url(url)
        if parsed.get_backend_name() == "sqlite" and parsed.database:
            Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
        self.engine = dialect.create_engine(parsed)
        # Waiting here costs nothing; SQLite's own wait for its lock polls and starves.
        self._turn = asyncio.Lock() if dialect.is_single_writer(self.engine) else None
        self.writing_engine = self.engine.execution_options(writes=True)
        self._reading_engine = dialect.snapshot(self.engine)
        self._alone_engine = dialect.alone(self.engine)

    @asynccontextmanager
    async def read(self) -> AsyncIterator[Reader]:
        async with Reader(self._reading_engine, expire_on_commit=False, autoflush=False) as session:
            yield session

    @asynccontextmanager
    async def read_once(self) -> AsyncIterator[Reader]:
        """For a block of one statement, which is a snapshot by itself: a transaction around it
        would take as long again."""
        async with Reader(self._alone_engine, expire_on_commit=False, autoflush=False) as session:
            yield session

    @asynccontextmanager
    async def write(self) -> AsyncIterator[Writer]:
        """Commits when the block ends, rolls back when it raises."""
        async with AsyncExitStack() as stack:
            if self._turn is not None:
                await stack.enter_async_context(self._turn)
            session = await stack.enter_async_context(
                Writer(self.writing_engine, expire_on_commit=False)
            )
            async with session.begin():
                yield session

    async def close(self) -> None:
        await self.engine.dispose()
