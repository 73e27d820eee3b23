"""The maximum cost of a judge call, before its bill is known."""

from typing import Final

from core.errors import JudgeUnusable
from core.model_prices import Price, price_of
from evals.judges.provider_table import find_model

FREE: Final = Price(0.0, 0.0, 0.0, 0.0)

BYTES_PER_TOKEN: Final = 2.0
"""Bytes per token of a prompt, estimated low: ordinary text has four, digits and foreign scripts
have fewer.
"""

PROMPT_OVERHEAD: Final = 256
"""Tokens that a provider's own framing of a prompt may take."""


def known_price(model: str) -> Price | None:
    """The list price; zero for a user's own server that no list has.

    None if the price is unknown.
    """
    price = price_of(model)
    if price is None and _is_served_at_home(model):
        return FREE
    return price


def prompt_tokens(prompt_bytes: int) -> int:
    """The maximum number of tokens."""
    return int(prompt_bytes / BYTES_PER_TOKEN) + PROMPT_OVERHEAD


def _is_served_at_home(model: str) -> bool:
    try:
        return find_model(model).provider.local
    except JudgeUnusable:
        return False
