"""Shares one call among all callers that need the same result at the same time."""

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


@dataclass(eq=False, slots=True)
class _Call(Generic[Value]):
    task: asyncio.Task[Value]
    waiters: int = 0


class SingleFlight(Generic[Key, Value]):
    """Calls in flight, shared by key.

    A waiter that is cancelled leaves the others waiting. The call itself is cancelled when its last
    waiter leaves, unless `finish_unused` is set. No result is kept: the first caller after the end
    of a call starts a new call.
    """

    def __init__(self, *, finish_unused: bool = False) -> None:
        self._calls: dict[Key, _Call[Value]] = {}
        self._finish_unused = finish_unused

    def __contains__(self, key: Key) -> bool:
        return key in self._calls

    async def join(self, key: Key, start: Callable[[], Coroutine[Any, Any, Value]]) -> Value:
        """The result of the call in flight under `key`, else of `start()`.

        Raises what the call raises, the same exception in every waiter.
        """
        call = self._calls.get(key)
        if call is None:
            call = self._begin(key, start)
        call.waiters += 1
        try:
            return await asyncio.shield(call.task)
        finally:
            call.waiters -= 1
            if call.waiters == 0 and not call.task.done() and not self._finish_unused:
                self._forget(key, call)
                call.task.cancel()

    def _begin(self, key: Key, start: Callable[[], Coroutine[Any, Any, Value]]) -> _Call[Value]:
        call = _Call(asyncio.create_task(start()))
        self._calls[key] = call

        def ended(task: asyncio.Task[Value]) -> None:
            self._forget(key, call)
            if not task.cancelled():
                # Without waiters nobody else retrieves the exception.
                task.exception()

        call.task.add_done_callback(ended)
        return call

    def _forget(self, key: Key, call: _Call[Value]) -> None:
        if self._calls.get(key) is call:
            del self._calls[key]
