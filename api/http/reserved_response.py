"""Responses that need much memory until they are sent."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

Maker = Callable[[], Awaitable[Response]]


class ReservedResponse(Response):
    """Makes and sends another response while memory is reserved."""

    def __init__(self, memory: AbstractAsyncContextManager[None], make: Maker) -> None:
        super().__init__()
        self._memory = memory
        self._make = make

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Raises the errors of the reservation and of `make`."""
        async with self._memory:
            response = await self._make()
            await response(scope, receive, send)
