"""Judges and embedders through LiteLLM's client, for every provider that LiteLLM knows."""

import asyncio
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import replace
from typing import Any

from pydantic import BaseModel

from core.errors import JudgeFailed
from evals.judges import allowed_hosts
from evals.judges.call_report import reported
from evals.judges.completion import CallAbandoned, Message, Reply
from evals.judges.embeddings import Vector
from evals.judges.fault_meaning import RequestSent, judge_error
from evals.judges.fault_parsing import Fault, fault_of
from evals.judges.litellm_library import answer_bytes, is_internal_call, litellm, openai
from evals.judges.rate_control import Throttle
from evals.judges.request_shape import RequestShape

_DEEPEST = 10
_MAX_EMBEDDING_BYTES = 32_000_000
"""Twice the size of 64 vectors of several thousand numbers in decimal digits."""


class LiteLlmCompletion:
    """`Complete` through LiteLLM."""

    def __init__(
        self,
        address: Mapping[str, Any],
        hosts: Collection[str],
        *,
        priced: bool,
        timeout_seconds: float,
    ) -> None:
        """`address`: the address and the credential for the calls."""
        # LiteLLM keeps one client, with its connections, per time-out value. This value never
        # varies, and the caller sets a tighter time-out.
        self._fixed = {
            **address,
            "timeout": timeout_seconds,
            "num_retries": 0,
            "max_retries": 0,
            # Without this setting, a call with tools imports a package that LiteLLM does not depend
            # on.
            "_skip_mcp_handler": True,
        }
        self._hosts = hosts
        self._priced = priced

    async def __call__(
        self, messages: list[Message], shape: RequestShape, answer: type[BaseModel]
    ) -> Reply:
        # A copy, because LiteLLM edits schemas in place, and all models share this schema.
        options = deepcopy(shape.options(answer))
        arguments: dict[str, Any] = {**self._fixed, **options, "messages": messages}
        # Turns off LiteLLM's success events, which Assay does not use. Building them takes as long
        # as the call, and for some providers blocks the event loop with a request.
        unlogged = is_internal_call.set(True)
        try:
            with _faults(self._hosts):
                response = await litellm.acompletion(**arguments)
        finally:
            is_internal_call.reset(unlogged)
        return _reply(response, self._priced)


@contextmanager
def _faults(hosts: Collection[str]) -> Iterator[None]:
    """Allows only these hosts, and translates LiteLLM's errors."""
    try:
        with allowed_hosts.only(hosts):
            yield
    except openai.OpenAIError as error:
        raise _abandoned(error) or fault_of(error) from None


def _abandoned(error: BaseException) -> CallAbandoned | None:
    link: BaseException | None = error
    for _ in range(_DEEPEST):
        if link is None or isinstance(link, CallAbandoned):
            return link
        link = link.__cause__ or link.__context__
    return None


async def close() -> None:
    gateway: Any = litellm
    await gateway.close_litellm_async_clients()
    gateway.in_memory_llm_clients_cache.flush_cache()


def _reply(response: Any, priced: bool) -> Reply:
    usage = response.usage
    spent = Reply(
        prompt_tokens=usage.prompt_tokens or 0,
        completion_tokens=usage.completion_tokens or 0,
        cost_usd=response._hidden_params.get("response_cost") if priced else None,
    )
    if not response.choices:
        return spent
    choice = response.choices[0]
    calls = choice.message.tool_calls or []
    more = choice.message.provider_specific_fields or {}
    finish = choice.finish_reason or "stop"
    text = (calls[0].function.arguments if calls else choice.message.content) or ""
    if not text.strip() and finish != "length":
        # Some servers put the whole answer of a reasoning model into the field of its thoughts.
        text = getattr(choice.message, "reasoning_content", None) or ""
    return replace(
        spent,
        text=text,
        finish=finish,
        refusal=more.get("refusal") or "",
    )


class Embedding:
    """Embeds one batch of texts through LiteLLM, with a permit of the model's rate control."""

    def __init__(
        self,
        address: Mapping[str, Any],
        hosts: Collection[str],
        sent: RequestSent,
        throttle: Throttle,
        timeout: float,
    ) -> None:
        self._address = address
        self._hosts = hosts
        self._sent = sent
        self._throttle = throttle
        self._timeout = timeout

    async def __call__(self, texts: list[str]) -> list[Vector]:
        """Raises JudgeError."""
        arguments = replace(self._sent, prompt="\n".join(texts))
        try:
            async with self._throttle.permit() as permit:
                with reported(permit, arguments):
                    response = await self._call(texts)
        except Fault as fault:
            raise judge_error(fault, arguments) from None
        except CallAbandoned as abandoned:
            raise JudgeFailed(
                f"{arguments.model} {abandoned}.", provider=arguments.provider
            ) from None
        ordered = sorted(response.data, key=lambda item: int(item["index"]))
        return [[float(value) for value in item["embedding"]] for item in ordered]

    async def _call(self, texts: list[str]) -> Any:
        """Raises Fault and CallAbandoned."""
        most = answer_bytes.set(_MAX_EMBEDDING_BYTES)
        try:
            with _faults(self._hosts):
                async with asyncio.timeout(self._timeout):
                    return await litellm.aembedding(
                        **self._address,
                        input=texts,
                        timeout=self._timeout,
                        num_retries=0,
                        max_retries=0,
                    )
        except TimeoutError:
            raise Fault(f"no answer came within {self._timeout:.3g} s") from None
        finally:
            answer_bytes.reset(most)
