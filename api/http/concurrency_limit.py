"""Limits how many requests one process handles at once, in all and per owner."""

from collections.abc import Callable, Hashable
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from api import errors
from api.http.probes import PROBES
from core.errors import Overloaded
from core.owner_counts import OwnerCounts

_RETRY_SECONDS: Final = 1.0


class ConcurrencyLimit:
    """Answers 503 beyond the limit. Health checks are always answered.

    With `owner`, the requests of each owner are counted apart.
    """

    def __init__(
        self, app: ASGIApp, *, most: int, owner: Callable[[Scope], Hashable] | None = None
    ) -> None:
        self._app = app
        self._most = most
        self._owner = owner
        self._open = OwnerCounts()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in PROBES:
            await self._app(scope, receive, send)
            return
        owner = None if self._owner is None else self._owner(scope)
        if self._open.of(owner) >= self._most:
            refusal = errors.answer(self._overload(), scope)
            errors.close_if_unread(refusal, scope)
            await refusal(scope, receive, send)
            return
        with self._open.using(owner):
            await self._app(scope, receive, send)

    def _overload(self) -> Overloaded:
        whose = "" if self._owner is None else " of this project, or without an API key"
        return Overloaded(
            f"The server already handles {self._most} requests{whose}.",
            retry_after=_RETRY_SECONDS,
        )


def share_of_owner(most: int) -> int:
    """How many of the concurrent requests one owner may have, so that others find room."""
    return max(1, most * 3 // 4)
