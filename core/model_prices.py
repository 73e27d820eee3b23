"""Prices of models, from the table that LiteLLM ships.

The file is read without importing LiteLLM, which takes seconds and a hundred megabytes.
"""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, NamedTuple

import orjson

from core.token_usage import Tokens

_FILE: Final = "model_prices_and_context_window_backup.json"
_TIER: Final = re.compile(r"^input_cost_per_token_above_(\d+)k_tokens$")
_DATE: Final = re.compile(r"[-@](?:\d{8}|\d{4}-\d{2}-\d{2})$")
_DECIMALS: Final = 12


class Tier(NamedTuple):
    """The prices of tokens in a call of more than `above` prompt tokens."""

    above: int
    prompt: float
    completion: float


class Price(NamedTuple):
    """In US dollars per token.

    Without a known price for cached tokens, the price of other tokens applies.
    """

    prompt: float
    completion: float
    cache_read: float
    cache_write: float
    reasoning: float = 0.0
    tiers: tuple[Tier, ...] = ()

    def at_most(self, *, prompt_tokens: int, completion_tokens: int) -> float:
        """The maximum cost of a call: every token at the highest price of its kind."""
        reached = [tier for tier in self.tiers if prompt_tokens > tier.above]
        prompt = max(self.prompt, *(tier.prompt for tier in reached), 0.0)
        completion = max(self.completion, self.reasoning, *(tier.completion for tier in reached))
        return prompt_tokens * prompt + completion_tokens * completion


def computed_cost(model: str, usage: Tokens) -> dict[str, Any] | None:
    """The cost of these tokens, marked as computed; None if the table lacks the model."""
    price = price_of(model)
    if price is None or usage.total == 0:
        return None
    cached = usage.cache_read + usage.cache_write
    # Some providers include cached tokens in the prompt tokens, others count them separately.
    plain = usage.prompt if usage.cached_beside_prompt else max(0, usage.prompt - cached)
    prompt = (
        plain * price.prompt
        + usage.cache_read * price.cache_read
        + usage.cache_write * price.cache_write
    )
    completion = usage.completion * price.completion
    return {
        "prompt": round(prompt, _DECIMALS),
        "completion": round(completion, _DECIMALS),
        "total": round(prompt + completion, _DECIMALS),
        "computed": True,
    }


def price_of(model: str) -> Price | None:
    """Looks up the whole name, then the name without its provider, then the name without its
    date.
    """
    prices = _prices()
    bare = model.lower().rpartition("/")[2]
    for name in (model, model.lower(), bare, _DATE.sub("", bare)):
        if (price := prices.get(name)) is not None:
            return price
    return None


@cache
def _prices() -> Mapping[str, Price]:
    spec = find_spec("litellm")
    if spec is None or not spec.submodule_search_locations:
        return {}
    path = Path(next(iter(spec.submodule_search_locations))) / _FILE
    try:
        table = orjson.loads(path.read_bytes())
    except OSError:
        return {}
    return {name: price for name, row in table.items() if (price := _price(row)) is not None}


def _price(row: Mapping[str, Any]) -> Price | None:
    prompt, completion = row.get("input_cost_per_token"), row.get("output_cost_per_token")
    if not isinstance(prompt, int | float):
        return None
    read, write = row.get("cache_read_input_token_cost"), row.get("cache_creation_input_token_cost")
    return Price(
        float(prompt),
        float(completion) if isinstance(completion, int | float) else 0.0,
        float(read) if isinstance(read, int | float) else float(prompt),
        float(write) if isinstance(write, int | float) else float(prompt),
        _number(row.get("output_cost_per_reasoning_token")),
        tuple(_tiers(row)),
    )


def _tiers(row: Mapping[str, Any]) -> Iterator[Tier]:
    for name, prompt in row.items():
        if found := _TIER.match(name):
            completion = row.get(name.replace("input", "output", 1))
            yield Tier(1000 * int(found[1]), _number(prompt), _number(completion))


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0
