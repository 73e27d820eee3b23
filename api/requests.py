"""How request bodies become JSON."""

import json
from collections.abc import Callable, Coroutine
from math import isinf
from typing import Any

import orjson
from fastapi import Request, Response
from fastapi.routing import APIRoute

from core import jsontext
from core.errors import UnsupportedMedia


def read_json(body: bytes) -> Any:
    """Strict JSON in UTF-8. Raises json.JSONDecodeError, for NaN and too deep nesting as well."""
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise json.JSONDecodeError("it is not UTF-8", "", error.start) from None
    if jsontext.has_long_number(body):
        return _read_slowly(text)
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        # It also refuses lone surrogates, which are valid JSON.
        return _read_slowly(text)


def _read_slowly(text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_refuse_constant, parse_float=_finite_number)
    except json.JSONDecodeError:
        raise
    except RecursionError:
        raise json.JSONDecodeError("it is nested too deeply", "", 0) from None
    except ValueError:
        raise json.JSONDecodeError("it has a number out of range", "", 0) from None


def _refuse_constant(name: str) -> float:
    raise json.JSONDecodeError(f"it has {name}", "", 0)


def _finite_number(text: str) -> float:
    number = float(text)
    if isinf(number):
        raise ValueError
    return number


class _JsonRequest(Request):
    async def json(self) -> Any:
        return read_json(await self.body())


class JsonRoute(APIRoute):
    """Reads bodies by `read_json`, and only such as say they are JSON."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()
        takes_body = self.body_field is not None

        async def handle_json(request: Request) -> Response:
            if takes_body:
                _check_media_type(request)
            return await handle(_JsonRequest(request.scope, request.receive))

        return handle_json


def _check_media_type(request: Request) -> None:
    media_type = request.headers.get("content-type", "application/json")
    essence = media_type.partition(";")[0].strip().lower()
    if essence != "application/json" and not essence.endswith("+json"):
        raise UnsupportedMedia("Send the body as JSON, with Content-Type: application/json.")
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise UnsupportedMedia("Send the body without Content-Encoding.")
