"""Temporal's codec protocol over HTTP, for the UI of Temporal."""

from collections.abc import Sequence
from typing import Final, Literal

from google.protobuf.json_format import MessageToDict, ParseDict, ParseError
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from temporalio.api.common.v1 import Payload, Payloads
from temporalio.converter import PayloadCodec

from core import json_codec
from core.errors import Misconfigured

MAX_BODY_BYTES: Final = 8 * 1024 * 1024
"""Temporal accepts payloads of 2 MB; its UI sends those of one event together."""


def endpoint(codec: PayloadCodec, origins: Sequence[str]) -> Starlette:
    """The two routes of Temporal's codec protocol, for pages of these origins."""

    async def answer(request: Request, direction: Literal["encode", "decode"]) -> JSONResponse:
        sender = request.headers.get("origin")
        if sender is not None and sender not in origins:
            return _refusal(403, f"Pages of {sender[:200]} may not ask. Name it with --origin.")
        payloads = await _payloads(request)
        if payloads is None:
            return _refusal(400, f"Send Temporal payloads as JSON, at most {MAX_BODY_BYTES} bytes.")
        work = codec.encode if direction == "encode" else codec.decode
        try:
            converted = await work(payloads)
        except Misconfigured as error:
            return _refusal(400, error.message)
        return JSONResponse(MessageToDict(Payloads(payloads=converted)))

    async def encode(request: Request) -> JSONResponse:
        return await answer(request, "encode")

    async def decode(request: Request) -> JSONResponse:
        return await answer(request, "decode")

    cors = Middleware(
        CORSMiddleware,
        allow_origins=list(origins),
        allow_methods=["POST"],
        allow_headers=["Content-Type", "X-Namespace", "Authorization"],
        allow_credentials=True,
    )
    routes = [Route(f"/{one.__name__}", one, methods=["POST"]) for one in (encode, decode)]
    return Starlette(routes=routes, middleware=[cors])


async def _payloads(request: Request) -> list[Payload] | None:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            return None
    try:
        sent = json_codec.loads(bytes(body))
        return list(ParseDict(sent, Payloads()).payloads) if isinstance(sent, dict) else None
    except (ParseError, ValueError):
        return None


def _refusal(status: int, message: str) -> JSONResponse:
    return JSONResponse({"message": message}, status)
