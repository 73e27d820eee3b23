"""Checks the API key of a request before anything reads its body."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from cachetools import TTLCache
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from starlette.datastructures import Headers
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Send
from starlette.types import Scope as AsgiScope

from api import errors
from api.http.auth import Access, Authenticator
from api.http.rate_limit import RateLimit
from core.errors import RateLimited, Unauthenticated
from core.ids import Scope

ACCESS: Final = "assay.access"
"""Key of the ASGI scope for the rights of the request's key."""

_MAX_KNOWN_KEYS = 10_000
_KNOWN_KEY_SECONDS = 600.0


class Gatekeeper:
    """Authenticates requests, and limits failed attempts by address and requests by key.

    Refuses an address with too many failed attempts without a query. Keys that worked recently are
    exempt, so that clients behind one proxy do not lock each other out.
    """

    def __init__(
        self, authenticator: Authenticator, *, by_key: RateLimit, failed_by_address: RateLimit
    ) -> None:
        self._authenticator = authenticator
        self._by_key = by_key
        self._failed = failed_by_address
        self._known: TTLCache[bytes, None] = TTLCache(_MAX_KNOWN_KEYS, _KNOWN_KEY_SECONDS)

    async def admit(self, headers: Headers, address: str, needed: Scope) -> Access:
        """Raises Unauthenticated, Forbidden, Invalid, RateLimited."""
        text = key_text(headers)
        digest = hashlib.sha256((text or "").encode("utf-8", "surrogateescape")).digest()
        if digest not in self._known and (wait := self._failed.wait(address)):
            raise RateLimited("Too many failed attempts from this address.", retry_after=wait)
        try:
            access = await self._authenticator.access(text, headers, needed)
        except Unauthenticated:
            self._known.pop(digest, None)
            self._failed.count(address)
            raise
        self._known[digest] = None
        self._by_key.take(access.key_id)
        return access


def key_text(headers: Headers) -> str | None:
    """The API key of a request: X-API-Key, else Authorization: Bearer."""
    if given := headers.get("x-api-key"):
        return given
    scheme, _, credentials = headers.get("authorization", "").partition(" ")
    return credentials.strip() or None if scheme.lower() == "bearer" else None


class KeyCheck:
    """Answers 401, 403 and 429 without reading the body of the request.

    The dependencies of a route decide the needed scope: `scopes` has the scope of each dependency.
    """

    def __init__(
        self, app: ASGIApp, *, routes: Sequence[BaseRoute], scopes: Mapping[Any, Scope]
    ) -> None:
        self._app = app
        checked_routes = [
            (route, needed)
            for route in routes
            if isinstance(route, APIRoute) and (needed := _needed(route, scopes)) is not None
        ]
        self._exact = {
            (method, route.path): needed
            for route, needed in checked_routes
            for method in route.methods or ()
            if "{" not in route.path
        }
        self._patterns = [(route, needed) for route, needed in checked_routes if "{" in route.path]

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        needed = self._scope_for(scope) if scope["type"] == "http" else None
        if needed is not None:
            client = scope.get("client")
            gatekeeper: Gatekeeper = scope["app"].state.stack.gatekeeper
            try:
                scope[ACCESS] = await gatekeeper.admit(
                    Headers(scope=scope), client[0] if client else "", needed
                )
            except Exception as error:
                refusal = errors.refusal(error, scope)
                if refusal is None:
                    raise
                errors.close_if_unread(refusal, scope)
                await refusal(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _scope_for(self, scope: AsgiScope) -> Scope | None:
        method, path = scope["method"], scope["path"]
        exact = self._exact.get((method, path))
        if exact is not None:
            return exact
        return next(
            (
                needed
                for route, needed in self._patterns
                if method in (route.methods or ()) and route.path_regex.match(path)
            ),
            None,
        )


def _needed(route: APIRoute, scopes: Mapping[Any, Scope]) -> Scope | None:
    return next((scopes[call] for call in _calls(route.dependant) if call in scopes), None)


def _calls(dependant: Dependant) -> Iterator[Any]:
    for one in dependant.dependencies:
        yield one.call
        yield from _calls(one)
