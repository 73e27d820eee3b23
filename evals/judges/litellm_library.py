"""Configures LiteLLM before its import; every use of LiteLLM imports this module."""

import logging
import os
import warnings
from collections.abc import AsyncIterator, Callable, Coroutine
from contextvars import ContextVar
from typing import Any

# LiteLLM reads these variables at its import or at each call. They take the price table from the
# package instead of the network, and disable the search for .env files. OpenAI's protocol uses the
# HTTP handler of the other providers, at half the processor time of the SDK. The pool has as many
# connections as a worker may have judge activities.
os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # noqa: TID251  no other way in
os.environ.setdefault("LITELLM_MODE", "PRODUCTION")  # noqa: TID251  no other way in
os.environ.setdefault("EXPERIMENTAL_OPENAI_BASE_LLM_HTTP_HANDLER", "True")  # noqa: TID251  no other way in
os.environ.setdefault("AIOHTTP_CONNECTOR_LIMIT", "2000")  # noqa: TID251  no other way in
os.environ.setdefault("AIOHTTP_CONNECTOR_LIMIT_PER_HOST", "2000")  # noqa: TID251  no other way in

import httpx
import litellm
import openai
from litellm._internal_context import is_internal_call
from litellm.llms.custom_httpx.aiohttp_transport import LiteLLMAiohttpTransport
from litellm.llms.custom_httpx.http_handler import HTTPHandler
from litellm.types.utils import LlmProviders

from evals.judges import allowed_hosts
from evals.judges.completion import MAX_ANSWER_BYTES, AnswerTooLarge

__all__ = ["LlmProviders", "answer_bytes", "is_internal_call", "litellm", "openai"]

answer_bytes: ContextVar[int] = ContextVar("answer_bytes", default=MAX_ANSWER_BYTES)
"""Maximum size of a response."""

_MAX_PACKING = 16
"""A compressed response, which Assay never requests, may have this share of the maximum."""

_Create = Callable[[HTTPHandler], httpx.Client]
_Handle = Callable[[LiteLLMAiohttpTransport, httpx.Request], Coroutine[Any, Any, httpx.Response]]


def _quieten() -> None:
    """Turns off LiteLLM's logs, caches, callbacks and retries."""
    litellm.suppress_debug_info = True
    litellm.num_retries = 0
    # Embeddings treat `max_retries=0` as unset and use this value.
    litellm.DEFAULT_MAX_RETRIES = 0  # type: ignore[attr-defined]  # imported, not re-exported
    litellm.disable_hf_tokenizer_download = True
    for name in ("LiteLLM", "LiteLLM Router", "LiteLLM Proxy"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    with warnings.catch_warnings():
        # LiteLLM's pydantic models are built at their first use, which warns about LiteLLM's own
        # types.
        warnings.simplefilter("ignore")
        litellm.ModelResponse()


class _Capped(httpx.AsyncByteStream):
    """A response body that raises AnswerTooLarge beyond `most` bytes."""

    def __init__(self, stream: httpx.AsyncByteStream, most: int) -> None:
        self._stream = stream
        self._most = most

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        async for part in self._stream:
            size += len(part)
            if size > self._most:
                raise AnswerTooLarge
            yield part

    async def aclose(self) -> None:
        await self._stream.aclose()


def _guarded(handle: _Handle) -> _Handle:
    """Wraps the transport's method: checks the host, and limits the size of the response."""

    async def handle_async_request(
        transport: LiteLLMAiohttpTransport, request: httpx.Request
    ) -> httpx.Response:
        allowed_hosts.check(request.url.host)
        request.headers["Accept-Encoding"] = "identity"
        response = await handle(transport, request)
        packed = response.headers.get("content-encoding", "identity") != "identity"
        most = answer_bytes.get() // (_MAX_PACKING if packed else 1)
        assert isinstance(response.stream, httpx.AsyncByteStream)
        response.stream = _Capped(response.stream, most)
        return response

    return handle_async_request


def _checked(
    create: Callable[[HTTPHandler], httpx.Client],
) -> Callable[[HTTPHandler], httpx.Client]:
    """Wraps the factory of blocking clients, so that their requests check the host."""

    def create_client(handler: HTTPHandler) -> httpx.Client:
        client = create(handler)
        client.event_hooks["request"].append(lambda request: allowed_hosts.check(request.url.host))
        return client

    return create_client


_quieten()
# LiteLLM builds its clients in many places; all clients send through this method.
LiteLLMAiohttpTransport.handle_async_request = _guarded(  # type: ignore[method-assign,assignment]  # replaced on purpose, with its own signature
    LiteLLMAiohttpTransport.handle_async_request
)
# LiteLLM's blocking client fetches prompt templates from other hosts, by the name of the model.
HTTPHandler.create_client = _checked(HTTPHandler.create_client)  # type: ignore[method-assign,assignment]  # replaced on purpose
