"""Limits how many requests one process handles at once."""

from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from api import errors
from api.http.probes import PROBES
from core.errors import Overloaded

_RETRY_SECONDS: Final = 1.0


class ConcurrencyLimit:
    """Answers 503 beyond the limit. Health checks are always answered."""

    def __init__(self, app: ASGIApp, *, most: int) -> None:
        self._app = app
        self._most = most
        self._open = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in PROBES:
            await self._app(scope, receive, send)
            return
        if self._open >= self._most:
            error = Overloaded(
                f"The server already handles {self._most} requests.", retry_after=_RETRY_SECONDS
            )
            refusal = errors.answer(error, scope)
            errors.close_if_unread(refusal, scope)
            await refusal(scope, receive, send)
            return
        self._open += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._open -= 1
