"""Group commit: many small reads or writes in few transactions."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Generic, TypeVar

from core.db import dialect

Item = TypeVar("Item")
Result = TypeVar("Result")
Value = TypeVar("Value")


class Batcher(Generic[Item, Result]):
    """Passes the waiting items to `work` as one batch while the next batch gathers.

    An idle batcher starts at once. A busy one starts at most one batch every `every` seconds,
    unless `soon` items are waiting (a full batch of `max_size` if not given). A batch that fails is
    tried again item by item, so that a bad item fails alone. If the database is unavailable, the
    whole batch fails at once.
    """

    def __init__(
        self,
        work: Callable[[Sequence[Item]], Awaitable[Result]],
        *,
        max_size: int = 200,
        every: float = 0.0,
        soon: int | None = None,
    ) -> None:
        self._work = work
        self._max_size = max_size
        self._every = every
        self._soon = soon or max_size
        self._many_wait = asyncio.Event()
        self._last_began = float("-inf")
        self._waiting: list[tuple[Item, asyncio.Future[Result]]] = []
        self._flushing: asyncio.Task[None] | None = None

    async def submit(self, item: Item) -> Result:
        """Returns what `work` returned for the batch of this item; raises what `work` raised."""
        done: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, done))
        if len(self._waiting) >= self._soon:
            self._many_wait.set()
        if self._flushing is None:
            self._flushing = asyncio.create_task(self._flush())
        return await done

    async def by_key(self: "Batcher[Item, Mapping[Item, Value]]", key: Item) -> Value | None:
        """The value of one key.

        Requires a `work` that returns a mapping from known keys to values.
        """
        return (await self.submit(key)).get(key)

    async def _flush(self) -> None:
        batch: list[tuple[Item, asyncio.Future[Result]]] = []
        try:
            while self._waiting:
                await self._until_due()
                batch = self._waiting[: self._max_size]
                self._waiting = self._waiting[self._max_size :]
                await self._work_on(batch)
        except BaseException:
            # A cancellation: without an end of these items, their callers would wait forever.
            for _, done in (*batch, *self._waiting):
                done.cancel()
            self._waiting.clear()
            raise
        finally:
            self._flushing = None

    async def _until_due(self) -> None:
        loop = asyncio.get_running_loop()
        early = self._last_began + self._every - loop.time()
        if early > 0 and len(self._waiting) < self._soon:
            self._many_wait.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(early):
                    await self._many_wait.wait()
        self._last_began = loop.time()

    async def _work_on(self, batch: list[tuple[Item, asyncio.Future[Result]]]) -> None:
        try:
            result = await self._work([item for item, _ in batch])
        except Exception as error:  # noqa: BLE001 - raised again in the caller of submit
            if len(batch) > 1 and not dialect.is_transient(error):
                for one in batch:
                    await self._work_on([one])
                return
            for _, done in batch:
                if not done.done():
                    done.set_exception(error)
            return
        for _, done in batch:
            if not done.done():
                done.set_result(result)
