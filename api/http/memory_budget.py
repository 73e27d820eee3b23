"""Limits the memory for large requests and responses, in total and per project."""

import asyncio
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager

from core.errors import Overloaded, TooLarge
from core.owner_counts import OwnerCounts

_RETRY_SECONDS = 2.0
_VALUE_BYTES = {b"{": 240, b"[": 70, b",": 8}
_PART_BYTES = 1024 * 1024
_MAX_VALUE_BYTES = 128 * 1024 * 1024


def value_bytes(body: bytes) -> int:
    """The maximum memory of the values of a JSON text.

    Counts the characters with which objects, lists and further values begin, including those inside
    strings.
    """
    # Part by part, because a single call would keep all other threads waiting.
    return sum(
        weight * body.count(mark, start, start + _PART_BYTES)
        for start in range(0, len(body), _PART_BYTES)
        for mark, weight in _VALUE_BYTES.items()
    )


def check_density(body: bytes) -> int:
    """Like `value_bytes`, but raises TooLarge for more than any request may take."""
    found = value_bytes(body)
    if found > _MAX_VALUE_BYTES:
        raise TooLarge("The body has too many objects, lists or values for its size.")
    return found


class MemoryBudget:
    """A number of bytes that requests reserve.

    One owner holds at most half of the bytes, so that the bodies of one project never block another
    project. A request that waits too long raises Overloaded.
    """

    def __init__(self, total: int, *, wait_seconds: float) -> None:
        self._total = total
        self._wait_seconds = wait_seconds
        self._held = OwnerCounts()
        self._changed = asyncio.Condition()

    @property
    def held(self) -> int:
        return self._held.total

    @asynccontextmanager
    async def reserve(self, owner: Hashable, size: int) -> AsyncIterator[None]:
        """Raises Overloaded. A size beyond the owner's share counts as the share."""
        size = min(size, self._total // 2)
        await self._acquire(owner, size)
        try:
            yield
        finally:
            self._held.remove(owner, size)
            async with self._changed:
                self._changed.notify_all()

    async def _acquire(self, owner: Hashable, size: int) -> None:
        try:
            async with asyncio.timeout(self._wait_seconds), self._changed:
                await self._changed.wait_for(lambda: self._fits(owner, size))
                self._held.add(owner, size)
        except TimeoutError:
            raise Overloaded(
                "The server is busy with other large requests. Nothing was stored; send it again.",
                retry_after=_RETRY_SECONDS,
            ) from None

    def _fits(self, owner: Hashable, size: int) -> bool:
        return self.held + size <= self._total and self._held.of(owner) + size <= self._total // 2
