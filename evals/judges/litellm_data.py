"""LiteLLM's data about a model: its limits, its price, and the dialect of its provider."""

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from evals.judges.completion import Message
from evals.judges.fault_parsing import fault_of
from evals.judges.litellm_library import LlmProviders, litellm, openai
from evals.judges.openai_client import Dialect
from evals.judges.prices import BilledTokens, Price, as_charged, list_price
from evals.judges.provider_table import OPENROUTER, Model
from evals.judges.request_shape import ModelFacts

_NOT_SENT = ("extra_body", "stream", "fake_stream", "json_mode", "max_retries")
_NO_MESSAGES: list[Message] = [{"role": "user", "content": ""}]


def entry(model: Model) -> Mapping[str, Any]:
    """The model's entry in LiteLLM's bundled table.

    `litellm.get_model_info` would query an Ollama server over the network.
    """
    key = model.provider.key
    for name in (f"{key}/{model.bare}", model.route, model.bare):
        found: Mapping[str, Any] = litellm.model_cost.get(name, {})
        if str(found.get("litellm_provider", "")).startswith(key.split("_")[0]):
            return found
    return {}


def facts(model: Model) -> ModelFacts:
    data = entry(model)
    return ModelFacts(
        known=bool(data.get("max_input_tokens")),
        context_tokens=data.get("max_input_tokens"),
        answer_tokens=data.get("max_output_tokens"),
        # Local servers enforce a schema for any model that they serve; the table lists only a few
        # of these models.
        schema=model.provider.local or bool(data.get("supports_response_schema")),
        tools=bool(data.get("supports_function_calling")),
        reasoning=bool(data.get("supports_reasoning")),
    )


def price(model: Model) -> Price:
    """An unlisted price is unknown, although LiteLLM counts it as 0."""

    def exact(tokens: BilledTokens) -> float | None:
        usage = litellm.Usage(
            prompt_tokens=tokens.prompt,
            completion_tokens=tokens.completion,
            total_tokens=tokens.prompt + tokens.completion,
            prompt_tokens_details={"cached_tokens": tokens.cached},
            completion_tokens_details={"reasoning_tokens": tokens.reasoning},
        )
        prompt, completion = litellm.cost_per_token(
            model=model.bare, custom_llm_provider=model.litellm_provider, usage_object=usage
        )
        return float(prompt + completion)

    if model.provider.key == OPENROUTER:
        return as_charged
    return list_price(entry(model), exact)


def speaks_openai(model: Model) -> bool:
    """Whether the model answers OpenAI's chat protocol; some models of OpenAI do not."""
    return model.provider.openai_protocol and entry(model).get("mode", "chat") == "chat"


def dialect(model: Model, api_version: str) -> Dialect:
    """The options in the provider's dialect, by LiteLLM's transformations."""
    version = {"api_version": api_version} if api_version else {}
    provider = model.litellm_provider
    config = litellm.ProviderConfigManager.get_provider_chat_config(
        model.bare, LlmProviders(provider)
    )

    def body(options: Mapping[str, object]) -> Mapping[str, object]:
        try:
            mapped = litellm.get_optional_params(
                model=model.bare,
                custom_llm_provider=provider,
                messages=_NO_MESSAGES,
                **version,
                **deepcopy(dict(options)),  # LiteLLM edits schemas in place.
            )
        except openai.OpenAIError as error:
            raise fault_of(error) from None
        extra = mapped.get("extra_body") or {}
        request = config.transform_request(
            model=model.bare,
            messages=_NO_MESSAGES,
            optional_params={k: v for k, v in mapped.items() if k not in _NOT_SENT},
            litellm_params={},
            headers={},
        )
        kept = {k: v for k, v in request.items() if k not in (*_NOT_SENT, "messages")}
        return {**kept, **extra}

    return body
