"""Judges and embedders at LiteLLM's providers; the only file that imports LiteLLM."""

import asyncio
import logging
import os
import warnings
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

# LiteLLM reads these at its import or at each call. The price table comes from its
# package, not from the network; no .env files are searched for; OpenAI's protocol goes
# through the HTTP handler of the other providers, at half the processor time of the SDK;
# as many connections as a worker may have judge activities, so that none waits for one.
os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # noqa: TID251  no other way in
os.environ.setdefault("LITELLM_MODE", "PRODUCTION")  # noqa: TID251  no other way in
os.environ.setdefault("EXPERIMENTAL_OPENAI_BASE_LLM_HTTP_HANDLER", "True")  # noqa: TID251  no other way in
os.environ.setdefault("AIOHTTP_CONNECTOR_LIMIT", "2000")  # noqa: TID251  no other way in
os.environ.setdefault("AIOHTTP_CONNECTOR_LIMIT_PER_HOST", "2000")  # noqa: TID251  no other way in

import litellm
import openai
from litellm._internal_context import is_internal_call

from evals.embeddings import Vector
from evals.provider_errors import Asked, judge_error
from evals.provider_faults import Fault, fault_of
from evals.provider_judge import Message, ModelFacts, Patience, ProviderJudge, Reply
from evals.provider_table import JudgeConfig, Model
from evals.throttle import Throttle


def _quieten() -> None:
    """LiteLLM says nothing, keeps nothing, calls nobody back and never repeats a call."""
    litellm.suppress_debug_info = True
    litellm.num_retries = 0
    # Embeddings take `max_retries=0` for "not said" and fall back on this.
    litellm.DEFAULT_MAX_RETRIES = 0  # type: ignore[attr-defined]  # imported, not re-exported
    litellm.disable_hf_tokenizer_download = True
    for name in ("LiteLLM", "LiteLLM Router", "LiteLLM Proxy"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    with warnings.catch_warnings():
        # Its models are built at their first use, with a warning about its own types.
        warnings.simplefilter("ignore")
        litellm.ModelResponse()


_quieten()


def judge(
    model: Model,
    address: Mapping[str, object],
    asked: Asked,
    config: JudgeConfig,
    throttle: Throttle,
) -> ProviderJudge:
    """`address`: where, and as whom, LiteLLM calls the model. One throttle a provider."""
    complete = _Completion(address, _is_priced(model), config.timeout_seconds)
    built = ProviderJudge(
        asked,
        _facts(model),
        complete,
        throttle,
        Patience(call=config.timeout_seconds, question=config.ask_seconds),
    )
    if config.input_tokens:
        built.input_tokens = config.input_tokens
    return built


async def close() -> None:
    gateway: Any = litellm
    await gateway.close_litellm_async_clients()
    gateway.in_memory_llm_clients_cache.flush_cache()


def _entry(model: Model) -> Mapping[str, Any]:
    """The model's line in LiteLLM's bundled table.

    `litellm.get_model_info` would do, but asks an Ollama server over the network.
    """
    key = model.provider.key
    for name in (f"{key}/{model.bare}", model.route, model.bare):
        entry: Mapping[str, Any] = litellm.model_cost.get(name, {})
        if str(entry.get("litellm_provider", "")).startswith(key.split("_")[0]):
            return entry
    return {}


def _facts(model: Model) -> ModelFacts:
    entry = _entry(model)
    return ModelFacts(
        known=bool(entry.get("max_input_tokens")),
        context_tokens=entry.get("max_input_tokens"),
        answer_tokens=entry.get("max_output_tokens"),
        # Local servers bind any model they serve; the table only lists a few of those.
        schema=model.provider.local or bool(entry.get("supports_response_schema")),
        tools=bool(entry.get("supports_function_calling")),
        reasoning=bool(entry.get("supports_reasoning")),
    )


def _is_priced(model: Model) -> bool:
    """LiteLLM counts an unlisted price as 0; here it is unknown."""
    return any(key.startswith(("input_cost_per", "tiered_pricing")) for key in _entry(model))


class _Completion:
    """`Complete` by LiteLLM."""

    def __init__(self, address: Mapping[str, Any], priced: bool, timeout_seconds: float) -> None:
        # LiteLLM keeps one client, with its connections, for each time-out it is given:
        # this one never varies, and whoever awaits the call bounds it more tightly.
        self._fixed = {
            **address,
            "timeout": timeout_seconds,
            "num_retries": 0,
            "max_retries": 0,
            # Without this a call with tools imports a package LiteLLM does not depend on.
            "_skip_mcp_handler": True,
        }
        self._priced = priced

    async def __call__(self, messages: list[Message], options: Mapping[str, object]) -> Reply:
        asked: dict[str, Any] = {**self._fixed, **options, "messages": messages}
        # Nobody listens to LiteLLM's success events, and composing them takes as long as
        # the call; for some providers it blocks the event loop on a request of its own.
        unlogged = is_internal_call.set(True)
        try:
            response = await litellm.acompletion(**asked)
        except openai.OpenAIError as error:
            raise fault_of(error) from None
        finally:
            is_internal_call.reset(unlogged)
        return _reply(response, self._priced)


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
    return replace(
        spent,
        text=(calls[0].function.arguments if calls else choice.message.content) or "",
        finish=choice.finish_reason or "stop",
        refusal=more.get("refusal") or "",
    )


class Embedding:
    """One batch of texts by LiteLLM."""

    def __init__(self, address: Mapping[str, Any], asked: Asked, timeout: float) -> None:
        self._address = address
        self._asked = asked
        self._timeout = timeout

    async def __call__(self, texts: list[str]) -> list[Vector]:
        try:
            async with asyncio.timeout(self._timeout):
                response = await litellm.aembedding(
                    **self._address,
                    input=texts,
                    timeout=self._timeout,
                    num_retries=0,
                    max_retries=0,
                )
        except TimeoutError:
            late = Fault(f"no answer came within {self._timeout:.3g} s")
            raise judge_error(late, self._asked) from None
        except openai.OpenAIError as error:
            asked = replace(self._asked, prompt="\n".join(texts))
            raise judge_error(fault_of(error), asked) from None
        ordered = sorted(response.data, key=lambda item: int(item["index"]))
        return [[float(value) for value in item["embedding"]] for item in ordered]
