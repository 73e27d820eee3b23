"""The one place where errors become HTTP answers."""

import logging
from collections.abc import Mapping
from http import HTTPStatus
from math import ceil
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from pydantic import BaseModel, Field
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.datastructures import Headers
from starlette.types import Scope

from api.otlp import wire
from api.otlp.wire import Encoding
from core import dialect, jsontext
from core.errors import AssayError, RateLimited, Unauthenticated, Unavailable
from core.text import storable

log = logging.getLogger(__name__)

# google.rpc.Code: INVALID_ARGUMENT, NOT_FOUND, PERMISSION_DENIED, …
_RPC_CODES = {400: 3, 401: 16, 403: 7, 404: 5, 409: 10, 413: 8, 415: 3, 422: 3, 429: 8, 503: 14}
_RPC_UNKNOWN = 2

STORE_AWAY = Unavailable("The database", "Try again in a moment.")


class Problem(BaseModel):
    """Why a request was refused."""

    detail: str = Field(description="One sentence that says what to change.")


class FieldProblem(BaseModel):
    type: str = Field(description="A short, stable name of the rule.")
    loc: list[str | int] = Field(description="Where in the request.")
    msg: str


class InvalidRequest(BaseModel):
    """Why a request was refused: one sentence, or what is wrong field by field."""

    detail: str | list[FieldProblem]


_DESCRIPTIONS = {
    400: "The body is not what its protocol asks for.",
    401: "No usable API key.",
    403: "The key may not do this, or is bound to another project.",
    404: "There is none in this project.",
    409: "The state of the row, or an earlier request, does not allow this.",
    413: "The body is above the configured size.",
    415: "The body is of a type that this endpoint does not read.",
    422: "The request contradicts itself or the store.",
    429: "Too many requests with this key.",
    503: "A needed server is away; nothing was half-written.",
}


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """What an endpoint documents beside its success and beside what every one may answer."""
    return {
        status: {
            "model": InvalidRequest if status == 422 else Problem,
            "description": _DESCRIPTIONS[status],
        }
        for status in sorted({401, 403, 422, 429, 503, *statuses})
    }


def install(app: FastAPI) -> None:
    app.add_exception_handler(AssayError, _on_assay_error)
    app.add_exception_handler(RequestValidationError, _on_invalid_request)
    app.add_exception_handler(DBAPIError, _on_store_error)
    app.add_exception_handler(PoolTimeout, _on_store_error)
    # What a refused connection to the database is raised as.
    app.add_exception_handler(OSError, _on_store_error)


def answer(error: AssayError, scope: Scope) -> Response:
    """In the form that the protocol of the request asks for."""
    headers: dict[str, str] = {}
    if isinstance(error, Unauthenticated):
        headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, RateLimited):
        headers["Retry-After"] = str(ceil(error.retry_after))
    if scope["path"] == wire.PATH:
        return _otlp(error.http_status, error.message, headers, scope)
    return _json(error.http_status, error.message, headers)


def internal_error(scope: Scope) -> Response:
    message = "Something went wrong here. The log has it under the X-Request-ID."
    return _otlp(500, message, {}, scope) if scope["path"] == wire.PATH else _json(500, message, {})


def _otlp(status: int, message: str, headers: Mapping[str, str], scope: Scope) -> Response:
    """A google.rpc.Status in the encoding of the request."""
    code = _RPC_CODES.get(status, _RPC_UNKNOWN)
    asked = Headers(scope=scope).get("content-type", "").partition(";")[0].strip().lower()
    if asked == Encoding.PROTOBUF:
        content: bytes | str = wire.status_message(code, message)
    else:
        asked, content = Encoding.JSON, jsontext.dumps({"code": code, "message": message})
    return Response(content, status, dict(headers), media_type=asked)


def _json(status: int, detail: object, headers: Mapping[str, str]) -> Response:
    content = jsontext.dumps({"detail": detail})
    return Response(content, status, dict(headers), media_type="application/json")


async def _on_assay_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, AssayError)
    if error.http_status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        log.warning("%s", error.message)
    return answer(error, request.scope)


async def _on_invalid_request(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    # Never what was sent: it may be large, private, or text that no answer can carry.
    problems = [
        {"type": found["type"], "loc": list(found["loc"]), "msg": _message(found)}
        for found in error.errors()
    ]
    return _json(422, storable(problems), {})


def _message(found: Mapping[str, Any]) -> str:
    message = str(found["msg"])
    if found["type"] == "json_invalid":
        return f"The body is not JSON: {found['ctx']['error']}"
    if found["type"] == "extra_forbidden":
        return "There is no such field; check its spelling."
    return message.removeprefix("Value error, ")


async def _on_store_error(request: Request, error: Exception) -> Response:
    if isinstance(error, DBAPIError) and not dialect.is_away(error):
        raise error
    log.warning("The database cannot be used: %s", type(error).__name__)
    return answer(STORE_AWAY, request.scope)
