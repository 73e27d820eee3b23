"""Computes the cost of a call from the list price of the model, which is read once."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

_TIER = re.compile(r"^input_cost_per_token_above_(\d+)k_tokens$")
_VARYING = ("tiered_pricing", "off_peak_pricing", "output_cost_per_reasoning_token")


@dataclass(frozen=True, slots=True)
class BilledTokens:
    """`cached`: prompt tokens that came from the provider's prompt cache.

    `charged_usd`: the cost that the response states.
    """

    prompt: int = 0
    completion: int = 0
    cached: int = 0
    reasoning: int = 0
    charged_usd: float | None = None


Price = Callable[[BilledTokens], float | None]


@dataclass(frozen=True, slots=True)
class ListPrice:
    """US dollars per token, up to `flat_until` prompt tokens; beyond, another tier applies."""

    prompt: float
    completion: float
    cached: float
    flat_until: float
    beyond: Price

    def __call__(self, tokens: BilledTokens) -> float | None:
        if tokens.prompt > self.flat_until:
            return self.beyond(tokens)
        fresh = tokens.prompt - tokens.cached
        return (
            fresh * self.prompt + tokens.cached * self.cached + tokens.completion * self.completion
        )


def unknown(_tokens: BilledTokens) -> None:
    """The price of a model that the table does not list. Its cost is unknown, never 0."""


def as_charged(tokens: BilledTokens) -> float | None:
    return tokens.charged_usd


def list_price(entry: Mapping[str, Any], exact: Price) -> Price:
    """The price from an entry of LiteLLM's table.

    `exact` asks LiteLLM itself, which takes longer than all other work for a call. It is used only
    if the price depends on more than the number of tokens.
    """
    if not any(key.startswith(("input_cost_per", "tiered_pricing")) for key in entry):
        return unknown
    prompt, completion = entry.get("input_cost_per_token"), entry.get("output_cost_per_token")
    if prompt is None or completion is None or any(key in entry for key in _VARYING):
        return exact
    tiers = [1000 * int(found[1]) for key in entry if (found := _TIER.match(key))]
    return ListPrice(
        prompt=prompt,
        completion=completion,
        cached=entry.get("cache_read_input_token_cost") or prompt,
        flat_until=min(tiers, default=float("inf")),
        beyond=exact,
    )
