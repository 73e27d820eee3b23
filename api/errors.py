"""Translates errors to HTTP responses. No other module does."""

import logging
from collections.abc import Mapping, Sequence
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
from starlette.exceptions import HTTPException
from starlette.types import Scope

from api.dashboard import problems
from api.otlp import wire
from api.otlp.wire import Encoding
from core import json_codec
from core.db import dialect
from core.errors import AssayError, Overloaded, RateLimited, Unauthenticated, Unavailable
from core.safe_text import sanitized_json
from core.truncation import truncate

log = logging.getLogger(__name__)

# google.rpc.Code: INVALID_ARGUMENT, NOT_FOUND, PERMISSION_DENIED, …
_RPC_CODES = {400: 3, 401: 16, 403: 7, 404: 5, 409: 10, 413: 8, 415: 3, 422: 3, 429: 8, 503: 14}
_RPC_UNKNOWN = 2
_MAX_UNREAD_BYTES = 64 * 1024
_MAX_PROBLEMS = 20
_MAX_MESSAGE = 500
_MAX_NAME = 200

_NO_PAGE = "This page does not exist. It may have been deleted, or belong to another project."

RETRY_UNAVAILABLE_SECONDS = 5
"""The Retry-After of a 503, in seconds."""

STORE_AWAY = Unavailable("The database", "Try again in a moment.")


class ShortProblem(BaseModel):
    field: str | None = Field(description="Dotted path of the field; null for the request.")
    message: str


class Problem(BaseModel):
    """Why a request was refused."""

    detail: str = Field(description="One sentence that says what to change.")
    errors: list[ShortProblem] = Field(description="The problem as a short text.")


class FieldProblem(BaseModel):
    type: str = Field(description="A short, stable name of the rule.")
    loc: list[str | int] = Field(description="Place in the request.")
    msg: str


class InvalidRequest(BaseModel):
    """Why a request was refused: one sentence, or one entry per field."""

    detail: str | list[FieldProblem]
    errors: list[ShortProblem] = Field(description="The problems as short texts, one per field.")


_DESCRIPTIONS = {
    400: "The body does not follow its protocol.",
    401: "No usable API key.",
    403: "The key may not do this, or is bound to another project.",
    404: "Not found in this project.",
    408: "The body came too slowly.",
    409: "The state of the row, or an earlier request, does not allow this.",
    413: "The body is larger than the limit.",
    415: "The endpoint does not read this media type.",
    422: "The request contradicts itself or the store.",
    429: "Too many requests with this key.",
    503: "A required server is unavailable. Nothing was changed.",
}


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The documented error responses of an endpoint: those of all endpoints, and `statuses`."""
    return {
        status: {
            "model": InvalidRequest if status == 422 else Problem,
            "description": _DESCRIPTIONS[status],
        }
        for status in sorted({401, 403, 422, 429, 503, *_of_bodies(statuses), *statuses})
    }


def _of_bodies(statuses: Sequence[int]) -> set[int]:
    return {408} if 413 in statuses else set()


def install(app: FastAPI) -> None:
    app.add_exception_handler(AssayError, _on_assay_error)
    app.add_exception_handler(HTTPException, _on_http_error)
    app.add_exception_handler(RequestValidationError, _on_invalid_request)
    app.add_exception_handler(DBAPIError, _on_store_error)
    app.add_exception_handler(PoolTimeout, _on_store_error)
    # A refused database connection raises OSError.
    app.add_exception_handler(OSError, _on_store_error)


def answer(error: AssayError, scope: Scope) -> Response:
    """The response in the form of the request's protocol; errors of dashboard pages are pages."""
    if problems.serves(scope):
        return problems.answer(scope, error.http_status, error.message)
    headers: dict[str, str] = {}
    if isinstance(error, Unauthenticated):
        headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, RateLimited | Overloaded):
        headers["Retry-After"] = str(ceil(error.retry_after))
    if isinstance(error, Unavailable):
        headers["Retry-After"] = str(RETRY_UNAVAILABLE_SECONDS)
    if scope["path"] in wire.PATHS:
        return _otlp(error.http_status, error.message, headers, scope)
    return _json(error.http_status, error.message, headers)


def refusal(error: Exception, scope: Scope) -> Response | None:
    """The response to an error outside of routes; None for an unexpected error."""
    if isinstance(error, AssayError):
        return answer(error, scope)
    if isinstance(error, DBAPIError | PoolTimeout | OSError) and dialect.is_transient(error):
        log.warning("The database cannot be used: %s", type(error).__name__)
        return answer(STORE_AWAY, scope)
    return None


def close_if_unread(response: Response, scope: Scope) -> None:
    """Closes the connection after a response that leaves a large body unread."""
    headers = Headers(scope=scope)
    stated = headers.get("content-length", "0")
    small = stated.isdecimal() and int(stated) <= _MAX_UNREAD_BYTES
    if not small or "transfer-encoding" in headers:
        response.headers["Connection"] = "close"


def internal_error(scope: Scope) -> Response:
    message = "The server failed unexpectedly. Its log has the error under the X-Request-ID."
    if problems.serves(scope):
        return problems.answer(scope, 500, message)
    if scope["path"] in wire.PATHS:
        return _otlp(500, message, {}, scope)
    return _json(500, message, {})


def _otlp(status: int, message: str, headers: Mapping[str, str], scope: Scope) -> Response:
    """A google.rpc.Status in the encoding of the request."""
    code = _RPC_CODES.get(status, _RPC_UNKNOWN)
    media_type = Headers(scope=scope).get("content-type", "").partition(";")[0].strip().lower()
    if media_type == Encoding.PROTOBUF:
        content: bytes | str = wire.status_message(code, message)
    else:
        media_type, content = Encoding.JSON, json_codec.dumps({"code": code, "message": message})
    return Response(content, status, dict(headers), media_type=media_type)


def _json(status: int, detail: object, headers: Mapping[str, str]) -> Response:
    content = json_codec.dumps({"detail": detail, "errors": _in_short(detail)})
    return Response(content, status, dict(headers), media_type="application/json")


def _in_short(detail: object) -> list[dict[str, object]]:
    """The error for clients that read `errors`: one message per field, or one message for the
    request.
    """
    if not isinstance(detail, list):
        return [{"field": None, "message": detail}]
    return [
        {
            "field": ".".join(map(str, problem["loc"][1:] or problem["loc"])),
            "message": problem["msg"],
        }
        for problem in detail
    ]


async def _on_assay_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, AssayError)
    if error.http_status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        log.warning("%s", error.message)
    return answer(error, request.scope)


async def _on_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if problems.serves(request.scope):
        return problems.answer(request.scope, error.status_code, _NO_PAGE)
    return _json(error.status_code, str(error.detail), dict(error.headers or {}))


async def _on_invalid_request(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    if problems.serves(request.scope):
        in_path = any(errors["loc"][0] == "path" for errors in error.errors())
        message = _NO_PAGE if in_path else _message(error.errors()[0])
        return problems.answer(request.scope, 404 if in_path else 422, message)
    # Omits the input, which may be large or private, or may contain text that JSON cannot hold.
    errors = error.errors()
    listed = [
        {
            "type": one["type"],
            "loc": _shortened(one["loc"]),
            "msg": truncate(_message(one), _MAX_MESSAGE),
        }
        for one in errors[:_MAX_PROBLEMS]
    ]
    if len(errors) > _MAX_PROBLEMS:
        more = f"{len(errors) - _MAX_PROBLEMS} more problems are not listed."
        listed.append({"type": "more_problems", "loc": [errors[0]["loc"][0]], "msg": more})
    return _json(422, sanitized_json(listed), {})


def _shortened(loc: Sequence[str | int]) -> list[str | int]:
    """Shortens the place of a problem, because a name from the client may be as long as the
    body.
    """
    return [part if isinstance(part, int) else truncate(part, _MAX_NAME) for part in loc]


def _message(problem: Mapping[str, Any]) -> str:
    message = str(problem["msg"])
    if problem["type"] == "json_invalid":
        return f"The body is not JSON: {problem['ctx']['error']}"
    if problem["type"] == "extra_forbidden" and problem["loc"][0] != "query":
        return "This field does not exist; check its spelling."
    return message.removeprefix("Value error, ")


async def _on_store_error(request: Request, error: Exception) -> Response:
    if isinstance(error, DBAPIError) and not dialect.is_transient(error):
        raise error
    log.warning("The database cannot be used: %s", type(error).__name__)
    return answer(STORE_AWAY, request.scope)
