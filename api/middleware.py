"""What happens to every request before and after its route."""

import asyncio
import logging
import re
import time
from urllib.parse import quote
from uuid import uuid4

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api import errors, logs
from api.counters import Counters
from core.errors import TooLarge

log = logging.getLogger("api.access")

_REQUEST_ID = re.compile(r"[\x20-\x7e]{1,128}")
_DRAIN_SECONDS = 5.0
_DRAIN_TIMES_LIMIT = 8


class RequestTrail:
    """Names each request, logs and counts how it ended, and answers 500 where nobody else did."""

    def __init__(self, app: ASGIApp, *, counters: Counters) -> None:
        self._app = app
        self._counters = counters

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(scope)
        token = logs.request_id.set(request_id)
        began = time.perf_counter()
        status = 0

        async def send_named(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["X-Request-ID"] = request_id
            await send(message)

        self._counters.requests_open += 1
        try:
            await self._app(scope, receive, send_named)
        except Exception:
            log.exception("Unexpected error")
            if status:
                raise  # The answer is cut off; the server closes the connection.
            await errors.internal_error(scope)(scope, receive, send_named)
        finally:
            self._counters.requests_open -= 1
            self._record(scope, status, time.perf_counter() - began)
            logs.request_id.reset(token)

    def _record(self, scope: Scope, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "unmatched")
        # Methods are the client's to invent; labels are not.
        method = scope["method"] if route != "unmatched" else "ANY"
        self._counters.count_request(method=method, route=route, status=status, seconds=seconds)
        path = quote(scope["path"], safe="/", errors="replace")
        log.info("%s %s %d %.1f ms", scope["method"], path, status, seconds * 1000)


def _request_id(scope: Scope) -> str:
    given = Headers(scope=scope).get("x-request-id", "")
    return given if _REQUEST_ID.fullmatch(given) else str(uuid4())


class BodyLimit:
    """Answers 413 to a body above the limit before anything reads it, whether its size is stated
    or comes out on the way."""

    def __init__(self, app: ASGIApp, *, limit: int) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        stated = headers.get("content-length", "")
        if stated.isdecimal() and int(stated) > self._limit:
            await self._refuse(scope, receive, send)
            return
        if not stated and "transfer-encoding" not in headers:
            await self._app(scope, receive, send)
            return
        body = await self._read(receive)
        if body is None:
            await self._refuse(scope, receive, send)
            return
        await self._app(scope, _replay(body, receive), send)

    async def _read(self, receive: Receive) -> list[Message] | None:
        """The messages of the body; None when they are too long."""
        messages: list[Message] = []
        size = 0
        while True:
            message = await receive()
            messages.append(message)
            size += len(message.get("body", b""))
            if size > self._limit:
                return None
            if not message.get("more_body", False):
                return messages

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        # A client that is still sending would see its connection reset instead of the answer,
        # so a while is spent on reading what it sends; one that asks first needs no such help.
        if "expect" not in Headers(scope=scope):
            await self._drain(receive)
        error = TooLarge(f"The body is larger than {self._limit} bytes.")
        await errors.answer(error, scope)(scope, receive, send)

    async def _drain(self, receive: Receive) -> None:
        left = self._limit * _DRAIN_TIMES_LIMIT
        try:
            async with asyncio.timeout(_DRAIN_SECONDS):
                while left > 0:
                    message = await receive()
                    left -= len(message.get("body", b""))
                    if not message.get("more_body", False):
                        return
        except TimeoutError:
            log.info("A refused body was still coming after %.0f s", _DRAIN_SECONDS)


def _replay(messages: list[Message], receive: Receive) -> Receive:
    waiting = iter(messages)

    async def receive_again() -> Message:
        return next(waiting, None) or await receive()

    return receive_again
