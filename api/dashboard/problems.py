"""Errors as pages, and the headers of all dashboard responses."""

from http import HTTPStatus
from typing import Final
from urllib.parse import quote

from fastapi import Request
from fastapi.responses import RedirectResponse, Response
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.dashboard import rendering

PREFIX: Final = "/ui"

_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}

_TITLES: Final = {
    400: "This form could not be read",
    403: "You may not do that",
    404: "Nothing is here",
    405: "Nothing is here",
    409: "That is not possible now",
    413: "That is too large",
    422: "Something in the address or form is wrong",
    429: "Too many requests",
    500: "The server failed unexpectedly",
    503: "A needed server is unavailable",
}


def serves(scope: Scope) -> bool:
    """Whether the request is for a page, not for the API."""
    path: str = scope.get("path", "")
    return path == PREFIX or path.startswith(f"{PREFIX}/")


def answer(scope: Scope, status: int, message: str) -> Response:
    """An error page; for a browser that is not signed in, a redirect to the sign-in page."""
    request = Request(scope)
    if status == HTTPStatus.UNAUTHORIZED:
        wanted = scope["path"] if request.method == "GET" else ""
        asked = request.url.query
        following = quote(f"{wanted}?{asked}" if asked else wanted, safe="")
        return RedirectResponse(f"{PREFIX}/sign-in?next={following}", status_code=303)
    title = _TITLES.get(status, HTTPStatus(status).phrase)
    return rendering.page(
        request, "problem.html", status=status, code=status, title=title, message=message
    )


class PageHeaders:
    """Adds the dashboard's security headers to all responses under its prefix."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not serves(scope):
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers[name] = value
            await send(message)

        await self._app(scope, receive, send_with_headers)
