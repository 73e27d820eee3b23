"""Checks the API key of a request before anything reads its body."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from starlette.datastructures import Headers
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Send
from starlette.types import Scope as AsgiScope

from api import errors
from api.http.gatekeeper import ACCESS, Gatekeeper
from core.ids import Scope


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
