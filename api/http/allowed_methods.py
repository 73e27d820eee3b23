"""Answers 405 with a complete Allow header."""

from collections.abc import Sequence

from fastapi.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from core import json_codec


class AllowedMethods:
    """Checks the method against all routes of the path before the router tries them in turn.

    A single route knows only its own methods, and a fixed path such as `/things/batch` would match
    `/things/{id}` when requested with another method.
    """

    def __init__(self, app: ASGIApp, *, routes: Sequence[BaseRoute]) -> None:
        self._app = app
        self._routes = [route for route in routes if isinstance(route, Route)]
        self._methods: dict[str, set[str]] = {}
        for route in self._routes:
            self._methods.setdefault(route.path, set()).update(route.methods or ())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        allowed = self._allowed(scope["path"]) if scope["type"] == "http" else None
        if allowed and scope["method"] not in allowed:
            content = json_codec.dumps({"detail": "Method Not Allowed"})
            headers = {"Allow": ", ".join(sorted(allowed))}
            answer = Response(content, 405, headers, media_type="application/json")
            await answer(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _allowed(self, path: str) -> set[str] | None:
        """None if no route matches the path."""
        if path in self._methods:
            return self._methods[path]
        found: set[str] = set()
        for route in self._routes:
            if route.path_regex.match(path):
                found |= self._methods[route.path]
        return found or None
