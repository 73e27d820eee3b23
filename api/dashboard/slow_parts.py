"""Slow parts of pages, for which a page waits only a moment.

A part that is ready in time is included in the page. Otherwise the page is sent without the part
and requests it later, while the work continues. A late part is kept for some seconds, so that this
request finds it.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine, Hashable
from dataclasses import dataclass
from typing import Any, Final, TypeVar, cast

from cachetools import TLRUCache

from core.concurrency import cancel_and_wait
from core.single_flight import SingleFlight

PATIENCE_SECONDS: Final = 0.03
"""How long a page waits for all of its parts together."""

KEPT_SECONDS: Final = 5.0
"""How long a late part is kept at least."""

_KEPT_PER_WORKING_TIME: Final = 10
_MAX_KEPT_SECONDS: Final = 30.0
"""A part is kept ten times as long as it took, so that a page that many look at costs a tenth of a
core at most.
"""

_MAX_REMEMBERED: Final = 200
_MAX_AT_ONCE: Final = 2
"""Pages that are asked for meanwhile need a core, too."""

Part = TypeVar("Part")


@dataclass(frozen=True, slots=True)
class _Done:
    part: object
    kept_seconds: float


def _expires_at(_key: Hashable, done: _Done, now: float) -> float:
    return now + done.kept_seconds


class SlowParts:
    """The slow parts of one process. Keys contain the project and all parameters."""

    def __init__(self, patience_seconds: float = PATIENCE_SECONDS) -> None:
        self.patience_seconds = patience_seconds
        self._flights: SingleFlight[Hashable, object] = SingleFlight()
        self._working = asyncio.Semaphore(_MAX_AT_ONCE)
        self._tasks: set[asyncio.Task[Any]] = set()
        self._remembered: TLRUCache[Hashable, _Done] = TLRUCache(_MAX_REMEMBERED, ttu=_expires_at)

    async def in_time(
        self,
        key: Hashable,
        work: Callable[[], Coroutine[Any, Any, Part]],
        kept_seconds: float = KEPT_SECONDS,
    ) -> Part | None:
        """The part; None if it takes longer. The work then continues for the next request."""
        found = self._remembered.get(key)
        if found is not None:
            return cast(Part, found.part)
        task = asyncio.create_task(self.whole(key, work, kept_seconds))
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        done, _ = await asyncio.wait({task}, timeout=self.patience_seconds)
        return task.result() if done else None

    async def whole(
        self,
        key: Hashable,
        work: Callable[[], Coroutine[Any, Any, Part]],
        kept_seconds: float = KEPT_SECONDS,
    ) -> Part:
        """Waits for the part without a limit."""
        found = self._remembered.get(key)
        if found is not None:
            return cast(Part, found.part)

        async def once() -> object:
            async with self._working:
                began = time.monotonic()
                part = await work()
            took = time.monotonic() - began
            if took > self.patience_seconds:
                longer = min(_MAX_KEPT_SECONDS, _KEPT_PER_WORKING_TIME * took)
                self._remembered[key] = _Done(part, max(kept_seconds, longer))
            return part

        return cast(Part, await self._flights.join(key, once))

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            # Retrieves the error, because no other code does after the page was sent.
            task.exception()

    async def close(self) -> None:
        """Cancels work that no page waits for."""
        await cancel_and_wait(*self._tasks)
