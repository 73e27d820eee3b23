"""Request ids, the access log and the measures: the outermost middleware."""

import logging
import re
import time
from contextlib import AbstractContextManager, nullcontext
from typing import Final
from urllib.parse import quote
from uuid import uuid4

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api import errors
from api.http.probes import PROBES
from api.http.prometheus import ApiMeasures
from core.telemetry import log_ids, tracing
from core.telemetry.tracing import OpenSpan

log = logging.getLogger("api.access")

_METHODS: Final = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))
_LOGGED_PARAMETERS: Final = ("run_id", "trace_id")
# Printable ASCII without brackets: log lines carry the id in brackets.
_REQUEST_ID = re.compile(r"[\x20-\x5a\x5c\x5e-\x7e]{1,128}")


class RequestTrail:
    """Gives each request an id, logs and counts its outcome, and answers unexpected errors with
    500.
    """

    def __init__(self, app: ASGIApp, *, measures: ApiMeasures) -> None:
        self._app = app
        self._measures = measures

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(scope)
        with log_ids.scope(request_id=request_id), _span(scope) as span:
            await self._answer(scope, receive, send, span)

    async def _answer(self, scope: Scope, receive: Receive, send: Send, span: OpenSpan) -> None:
        began = time.perf_counter()
        status = 0

        async def send_named(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["X-Request-ID"] = str(log_ids.request_id.get())
            await send(message)

        self._measures.requests_open.inc()
        try:
            await self._app(scope, receive, send_named)
        except Exception:
            log.exception("Unexpected error")
            if status:
                # A part of the response was already sent, so the server closes the connection.
                raise
            await errors.internal_error(scope)(scope, receive, send_named)
        finally:
            self._measures.requests_open.dec()
            self._record(scope, status, time.perf_counter() - began, span)

    def _record(self, scope: Scope, status: int, seconds: float, span: OpenSpan) -> None:
        route = getattr(scope.get("route"), "path", "unmatched")
        # Methods that a client invents must not become labels.
        method = scope["method"] if route != "unmatched" else "ANY"
        self._measures.count_request(method=method, route=route, status=status, seconds=seconds)
        log_ids.put(**_ids_of_path(scope))
        span.rename(f"{method} {route}")
        span.set({"http.route": route, "http.response.status_code": status})
        if status >= 500:
            span.fail(str(status))
        path = quote(scope["path"], safe="/", errors="replace")
        log.info("%s %s %d %.1f ms", scope["method"], path, status, seconds * 1000)


def _span(scope: Scope) -> AbstractContextManager[OpenSpan]:
    """Creates no span for the frequent requests of monitoring systems."""
    if scope["path"] in PROBES:
        return nullcontext(OpenSpan(None))
    method = scope["method"] if scope["method"] in _METHODS else "_OTHER"
    return tracing.span(
        method, "SERVER", {"http.request.method": method}, parent=Headers(scope=scope)
    )


def _ids_of_path(scope: Scope) -> dict[str, str]:
    parameters = scope.get("path_params", {})
    return {name: str(parameters[name]) for name in _LOGGED_PARAMETERS if name in parameters}


def _request_id(scope: Scope) -> str:
    given = Headers(scope=scope).get("x-request-id", "")
    return given if _REQUEST_ID.fullmatch(given) else str(uuid4())
