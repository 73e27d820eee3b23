"""Calls models behind OpenAI's protocol without a client library.

LiteLLM provides the body in the provider's dialect once per request shape; each call adds its
messages to this body.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

import orjson
from cachetools import LRUCache
from pydantic import BaseModel

from evals.judges import allowed_hosts
from evals.judges.completion import ForbiddenHost, Message, Reply
from evals.judges.fault_parsing import Fault, fault_within, is_page, response_fault
from evals.judges.http_transport import HttpTransport, Response
from evals.judges.prices import BilledTokens, Price
from evals.judges.request_shape import RequestShape

MAX_TEMPLATES: Final = 256
_NOT_ITS_PROTOCOL: Final = "it sent something that is not an answer of its protocol"
_FINISH: Final = {
    "max_tokens": "length",
    "model_length": "length",
    "eos": "stop",
    "safety": "content_filter",
    "SAFETY": "content_filter",
    "PROHIBITED_CONTENT": "content_filter",
    "RECITATION": "content_filter",
    "refusal": "content_filter",
    "sensitive": "content_filter",
}
_FILTERED: Final = ("promptFeedback", "prompt_feedback", "prompt_filter_results")
_THOUGHTS: Final = ("reasoning_content", "reasoning")

Dialect = Callable[[Mapping[str, object]], Mapping[str, object]]
"""Returns the body of a request with these options, without messages.

Raises Fault for an option that the model is known to refuse.
"""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """`headers` carry the credential."""

    url: str
    headers: Mapping[str, str] = field(repr=False)


class OpenAiCompletion:
    """`Complete` for one model at one address."""

    def __init__(
        self, transport: HttpTransport, endpoint: Endpoint, dialect: Dialect, price: Price
    ) -> None:
        self._transport = transport
        self._endpoint = endpoint
        self._dialect = dialect
        self._price = price
        self._templates: LRUCache[tuple[RequestShape, type[BaseModel]], bytes] = LRUCache(
            MAX_TEMPLATES
        )

    async def __call__(
        self, messages: list[Message], shape: RequestShape, answer: type[BaseModel]
    ) -> Reply:
        body = self._template(shape, answer) + orjson.dumps(messages) + b"}"
        endpoint = self._endpoint
        response = await self._transport.post(endpoint.url, endpoint.headers, body)
        return reply_of(response, self._price)

    def _template(self, shape: RequestShape, answer: type[BaseModel]) -> bytes:
        """The request without its messages."""
        key = (shape, answer)
        known = self._templates.get(key)
        if known is None:
            fixed = orjson.dumps(self._dialect(shape.options(answer)))
            known = fixed[:-1] + b',"messages":'
            self._templates[key] = known
        return known


def endpoint(address: str, headers: Mapping[str, str], *, host: str) -> Endpoint:
    """Raises ForbiddenHost if the address does not lead to `host`."""
    if not allowed_hosts.is_allowed(allowed_hosts.host_of(address), {host}):
        raise ForbiddenHost
    return Endpoint(address, {"Content-Type": "application/json", **headers})


def reply_of(response: Response, price: Price) -> Reply:
    """Raises Fault."""
    if response.status >= 300:
        text = response.body.decode(errors="replace")
        raise response_fault(response.status, response.headers, text)
    found = _object_in(response)
    _refuse_errors(found, response)
    spent = _spent(found.get("usage"), price)
    choices = found.get("choices")
    if not choices and any(key in found for key in _FILTERED):
        return replace(spent, finish="content_filter")
    if not isinstance(choices, list):
        raise Fault(_NOT_ITS_PROTOCOL)
    if not choices or not isinstance(choices[0], dict):
        return spent
    _refuse_errors(choices[0], response)
    return _answered(choices[0], spent)


def _object_in(response: Response) -> dict[str, Any]:
    """Raises Fault."""
    try:
        parsed = orjson.loads(response.body)
    except orjson.JSONDecodeError:
        text = response.body.decode(errors="replace")
        if is_page(text):
            raise response_fault(response.status, response.headers, text) from None
        raise Fault(_NOT_ITS_PROTOCOL) from None
    if isinstance(parsed, list) and len(parsed) == 1:
        parsed = parsed[0]
    if not isinstance(parsed, dict):
        raise Fault(_NOT_ITS_PROTOCOL)
    return parsed


def _refuse_errors(parsed: Mapping[str, Any], response: Response) -> None:
    """Raises Fault for a provider's error that a gateway put into a 200 response."""
    fault = fault_within(parsed, response.headers)
    if fault is not None:
        raise fault


def _spent(usage: object, price: Price) -> Reply:
    counts = usage if isinstance(usage, dict) else {}
    tokens = BilledTokens(
        prompt=_count(counts, "prompt_tokens"),
        completion=_count(counts, "completion_tokens"),
        cached=_count(counts.get("prompt_tokens_details"), "cached_tokens"),
        reasoning=_count(counts.get("completion_tokens_details"), "reasoning_tokens"),
        charged_usd=charged if isinstance(charged := counts.get("cost"), int | float) else None,
    )
    return Reply(
        prompt_tokens=tokens.prompt,
        completion_tokens=tokens.completion,
        cost_usd=price(tokens),
    )


def _count(number: object, name: str) -> int:
    value = number.get(name) if isinstance(number, dict) else None
    return value if isinstance(value, int) and value > 0 else 0


def _answered(choice: Mapping[str, Any], spent: Reply) -> Reply:
    message = choice.get("message")
    message = message if isinstance(message, dict) else {}
    finish = choice.get("finish_reason") or "stop"
    finish = _FINISH.get(finish, finish) if isinstance(finish, str) else "stop"
    text = _arguments(message.get("tool_calls")) or _text(message.get("content"))
    if not text.strip() and finish != "length":
        # Some servers put the whole answer of a reasoning model into the field of its thoughts.
        text = next((thought for key in _THOUGHTS if (thought := _text(message.get(key)))), "")
    return replace(spent, text=text, finish=finish, refusal=_text(message.get("refusal")))


def _arguments(calls: object) -> str:
    call = calls[0] if isinstance(calls, list) and calls else None
    function = call.get("function") if isinstance(call, dict) else None
    arguments = function.get("arguments") if isinstance(function, dict) else None
    if isinstance(arguments, str):
        return arguments
    return orjson.dumps(arguments).decode() if isinstance(arguments, dict) else ""


def _text(content: object) -> str:
    """The text, or the text parts of a list.

    Thoughts of a reasoning model are parts of another type.
    """
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    texts = (p.get("text") for p in content if isinstance(p, dict) and p.get("type") == "text")
    return "".join(text for text in texts if isinstance(text, str))
