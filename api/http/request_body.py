"""Reads whole request bodies, within limits of size, time and memory."""

import asyncio
import logging
from typing import Final

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api import errors
from api.http.gatekeeper import ACCESS, owner_of
from api.http.json_body import MAX_BYTES_ON_LOOP
from api.http.memory_budget import MemoryBudget, check_density
from api.http.prometheus import ApiMeasures
from core.errors import AssayError, Overloaded, TooLarge, TooSlow

log = logging.getLogger(__name__)

_DRAIN_SECONDS = 5.0
_DRAIN_TIMES_LIMIT = 8
MAX_KEYLESS_BYTES: Final = 1024 * 1024
"""Maximum size of a body without an API key, such as a form of the dashboard."""
_SMALL_BYTES: Final = 64 * 1024
_HANDLING_FACTOR: Final = 4
"""Memory for a body, as a multiple of its size; parsing, validating and writing it needs about four
times its size in addition.
"""
_INFLATION_FACTOR: Final = 10
_GRACE_SECONDS: Final = 10.0
_MIN_BYTES_PER_SECOND: Final = 50_000
_READ_WAIT_SECONDS: Final = 20.0
_HANDLING_WAIT_SECONDS: Final = 40.0


class RequestBody:
    """Passes the whole body on as one message.

    Answers 413 to a body above the limit, with or without a stated size, 408 to a body that arrives
    too slowly, and 503 if the memory for bodies is exhausted. Small bodies need no reservation,
    because the number of concurrent requests bounds them.
    """

    def __init__(self, app: ASGIApp, *, limit: int, memory: int, measures: ApiMeasures) -> None:
        self._app = app
        self._limit = limit
        self._reading = MemoryBudget(memory // 2, wait_seconds=_READ_WAIT_SECONDS)
        self._handling = MemoryBudget(memory // 2, wait_seconds=_HANDLING_WAIT_SECONDS)
        self._received = measures.bytes_received
        measures.watch_bodies(self._reading, self._handling)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        size = self._largest_size(scope) if scope["type"] == "http" else 0
        if size == 0:
            await self._app(scope, receive, send)
            return
        incoming = _Incoming(receive)
        try:
            if size > self._limit:
                raise self._too_large(self._limit)
            if size > MAX_KEYLESS_BYTES and ACCESS not in scope:
                raise self._too_large(MAX_KEYLESS_BYTES)
            await self._handle(scope, incoming, send, size)
        except ClientDisconnect:
            return
        except (TooLarge, Overloaded) as error:
            await self._drain(scope, incoming)
            await errors.answer(error, scope)(scope, receive, send)
        except AssayError as error:
            refusal = errors.answer(error, scope)
            errors.close_if_unread(refusal, scope)
            await refusal(scope, receive, send)

    def _largest_size(self, scope: Scope) -> int:
        """The maximum size of the body; 0 without a body."""
        headers = Headers(scope=scope)
        stated = headers.get("content-length", "")
        if "transfer-encoding" in headers or (stated and not stated.isdecimal()):
            return self._limit if ACCESS in scope else min(self._limit, MAX_KEYLESS_BYTES)
        return int(stated or 0)

    async def _handle(self, scope: Scope, receive: Receive, send: Send, size: int) -> None:
        if size <= _SMALL_BYTES:
            body = await self._read(receive, size)
            await self._app(scope, _replay(body, receive), send)
            return
        owner = owner_of(scope)
        async with self._reading.reserve(owner, size):
            body = await self._read(receive, size)
            async with self._handling.reserve(owner, await self._memory(scope, body)):
                replay = _replay(body, receive)
                del body
                await self._app(scope, replay, send)

    async def _memory(self, scope: Scope, body: bytes) -> int:
        """The memory for handling the body. Raises TooLarge for more than any request may take."""
        size = len(body)
        if Headers(scope=scope).get("content-encoding", "identity") != "identity":
            return _HANDLING_FACTOR * min(size * _INFLATION_FACTOR, self._limit)
        if size <= MAX_BYTES_ON_LOOP:
            return _HANDLING_FACTOR * size + check_density(body)
        return _HANDLING_FACTOR * size + await asyncio.to_thread(check_density, body)

    async def _read(self, receive: Receive, size: int) -> bytes:
        parts: list[bytes] = []
        left = size
        try:
            async with asyncio.timeout(_GRACE_SECONDS + size / _MIN_BYTES_PER_SECOND):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise ClientDisconnect
                    part = message.get("body", b"")
                    left -= len(part)
                    if left < 0:
                        raise self._too_large(size)
                    parts.append(part)
                    if not message.get("more_body", False):
                        self._received.inc(size - left)
                        return b"".join(parts)
        except TimeoutError:
            raise TooSlow(
                f"The body must arrive at {_MIN_BYTES_PER_SECOND // 1000} KB per second or faster."
            ) from None

    def _too_large(self, limit: int) -> TooLarge:
        return TooLarge(f"The body is larger than the limit of {limit} bytes.")

    async def _drain(self, scope: Scope, incoming: "_Incoming") -> None:
        """Continues to read for a while, because a client that is still sending would get a reset
        instead of the response.
        """
        if incoming.has_ended or "expect" in Headers(scope=scope):
            return
        left = self._limit * _DRAIN_TIMES_LIMIT
        try:
            async with asyncio.timeout(_DRAIN_SECONDS):
                while left > 0:
                    message = await incoming()
                    left -= len(message.get("body", b""))
                    if incoming.has_ended:
                        return
        except TimeoutError:
            log.info("A refused body was still arriving after %.0f s", _DRAIN_SECONDS)


class _Incoming:
    """The messages of a request, and whether its body has arrived whole."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self.has_ended = False

    async def __call__(self) -> Message:
        message = await self._receive()
        self.has_ended = not message.get("more_body", False)
        return message


def _replay(body: bytes, receive: Receive) -> Receive:
    whole: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive_again() -> Message:
        return whole.pop() if whole else await receive()

    return receive_again
