"""Reads JSON request bodies."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from typing import Any, Final

from fastapi import Request, Response
from fastapi._compat import ModelField
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel

from api.http import strict_query
from api.http.gatekeeper import owner_of
from core import json_codec
from core.errors import Invalid, UnsupportedMedia

MAX_KEYS: Final = 1000

Handler = Callable[[Request], Coroutine[Any, Any, Response]]
MAX_BYTES_ON_LOOP: Final = 256 * 1024


class _JsonRequest(Request):
    """A request whose JSON body was already parsed: the value, or the parse error."""

    def __init__(self, original: Request, body: bytes, value: Any) -> None:
        super().__init__(original.scope, original.receive)
        # FastAPI checks only whether there is a body; it no longer needs the bytes.
        self._body = body[:1]
        self._value = value

    async def json(self) -> Any:
        if isinstance(self._value, json.JSONDecodeError):
            raise self._value
        return self._value


class JsonRoute(APIRoute):
    """Parses bodies strictly, and refuses other media types and objects with too many keys.

    A large body is parsed and validated in a thread, so that other requests continue.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()
        field = self.body_field
        if field is None:
            return _ignoring_parameters(handle)
        strict = _forbids_extra(field)

        async def handle_json(original: Request) -> Response:
            request = Request(strict_query.without_ignored(original.scope), original.receive)
            _check_media_type(request)
            body = await request.body()
            if len(body) <= MAX_BYTES_ON_LOOP:
                value = _parsed(body, strict) if body else None
            else:
                # Few threads at once, because each may keep the interpreter from the event loop.
                async with original.app.state.stack.decoding.slot(owner_of(original.scope)):
                    value = await asyncio.to_thread(_validated, body, field, strict)
            return await handle(_JsonRequest(request, body, value))

        return handle_json


def _ignoring_parameters(handle: Handler) -> Handler:
    async def handle_rest(request: Request) -> Response:
        scope = strict_query.without_ignored(request.scope)
        return await handle(request if scope is request.scope else Request(scope, request.receive))

    return handle_rest


def _forbids_extra(field: ModelField) -> bool:
    kind = field.field_info.annotation
    if not (isinstance(kind, type) and issubclass(kind, BaseModel)):
        return False
    return kind.model_config.get("extra") == "forbid"


def _parsed(body: bytes, strict: bool) -> Any:
    """The value or the parse error. Raises Invalid."""
    try:
        value = json_codec.read_json(body)
    except json.JSONDecodeError as error:
        return error
    if strict and isinstance(value, dict):
        # Each unknown key makes an error, so a body full of them would make a huge response.
        for one in (value, *value.values()):
            if isinstance(one, dict) and len(one) > MAX_KEYS:
                raise Invalid(f"An object of this body has more than {MAX_KEYS:,} keys.")
    return value


def _validated(body: bytes, field: ModelField, strict: bool) -> Any:
    """The body as the model of its route, which FastAPI uses unchanged.

    Raises Invalid and RequestValidationError.
    """
    parsed = _parsed(body, strict)
    if isinstance(parsed, json.JSONDecodeError):
        return parsed
    value, problems = field.validate(parsed, {}, loc=("body",))
    if problems:
        raise RequestValidationError(problems)
    return value


def _check_media_type(request: Request) -> None:
    media_type = request.headers.get("content-type", "application/json")
    essence = media_type.partition(";")[0].strip().lower()
    if essence != "application/json" and not essence.endswith("+json"):
        raise UnsupportedMedia("Send the body as JSON, with Content-Type: application/json.")
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise UnsupportedMedia("Send the body without Content-Encoding.")
