"""Security headers for browsers, and the check of the host name."""

from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api import errors
from api.http.probes import PROBES
from core.errors import BadRequest

_ALWAYS: Final = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
}
_DATA_TYPES: Final = ("application/json", "application/x-protobuf", "text/plain")
_NO_CONTENT_POLICY: Final = "default-src 'none'; frame-ancestors 'none'"
_PAGE_POLICY: Final = (
    "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; worker-src 'self' blob:; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'"
)


class SecurityHeaders:
    """Adds the headers that a response does not set itself.

    Browsers may neither frame nor cache data, nor run it as a page.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                is_page = headers.get("content-type", "").startswith("text/html")
                policy = _PAGE_POLICY if is_page else _NO_CONTENT_POLICY
                headers.setdefault("Content-Security-Policy", policy)
                if headers.get("content-type", "").startswith(_DATA_TYPES):
                    headers.setdefault("Cache-Control", "no-store")
                for name, value in _ALWAYS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, send_with_headers)


class HostCheck:
    """Refuses requests for a host name that this server does not serve.

    This keeps pages of other sites from reaching the server under their own host names (DNS
    rebinding). Without configured hosts every name is served. Probes are served in any case.
    """

    def __init__(self, app: ASGIApp, *, hosts: str | None) -> None:
        self._app = app
        self._hosts = {host.strip().lower() for host in (hosts or "").split(",")} - {""}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            refused = self._refusal(Headers(scope=scope), scope["path"])
            if refused is not None:
                refusal = errors.answer(refused, scope)
                refusal.headers["Connection"] = "close"
                await refusal(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _refusal(self, headers: Headers, path: str) -> BadRequest | None:
        if "content-length" in headers and "transfer-encoding" in headers:
            # Servers and proxies disagree about the end of such a request.
            return BadRequest("Send either Content-Length or Transfer-Encoding.")
        # Docker, Kubernetes and Prometheus ask under the address of a container.
        if path in PROBES:
            return None
        if self._hosts and _name(headers.get("host", "")) not in self._hosts:
            return BadRequest("This server does not serve that host name (ASSAY_ALLOWED_HOSTS).")
        return None


def _name(host: str) -> str:
    """The host without its port; an IPv6 address keeps its brackets."""
    end = host.rfind("]") + 1
    return host[:end].lower() if end else host.partition(":")[0].lower()
