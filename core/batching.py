"""Many small reads or writes, few transactions."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from core import dialect

Item = TypeVar("Item")
Result = TypeVar("Result")


class Batcher(Generic[Item, Result]):
    """Hands what is waiting to `work` in one batch while the next batch gathers.

    An idle batcher works at once: nobody waits for company. A busy one begins a
    batch every `every` seconds at most, so that a batch is worth its transaction.
    `submit` returns when its batch is done, with what `work` returned for the whole
    batch. A batch that fails is tried again item by item, so that one bad item fails
    alone; where the database is away all of it fails, as each item would.
    """

    def __init__(
        self,
        work: Callable[[Sequence[Item]], Awaitable[Result]],
        *,
        most: int = 200,
        every: float = 0.0,
    ) -> None:
        self._work = work
        self._most = most
        self._every = every
        self._last_began = float("-inf")
        self._waiting: list[tuple[Item, asyncio.Future[Result]]] = []
        self._flushing: asyncio.Task[None] | None = None

    async def submit(self, item: Item) -> Result:
        done: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, done))
        if self._flushing is None:
            self._flushing = asyncio.create_task(self._flush())
        return await done

    async def _flush(self) -> None:
        try:
            while self._waiting:
                await self._until_due()
                batch, self._waiting = (
                    self._waiting[: self._most],
                    self._waiting[self._most :],
                )
                await self._work_on(batch)
        finally:
            self._flushing = None

    async def _until_due(self) -> None:
        loop = asyncio.get_running_loop()
        early = self._last_began + self._every - loop.time()
        if early > 0 and len(self._waiting) < self._most:
            await asyncio.sleep(early)
        self._last_began = loop.time()

    async def _work_on(self, batch: list[tuple[Item, asyncio.Future[Result]]]) -> None:
        try:
            result = await self._work([item for item, _ in batch])
        except Exception as error:  # noqa: BLE001 - handed to whoever submitted the item
            if len(batch) > 1 and not dialect.is_away(error):
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
