"""Money as whole numbers, so that sums are exact on every database."""

import math
from typing import Final

UNITS_PER_USD: Final = 10**12
"""No list price per token is a fraction of this unit."""

MAX_BUDGET_USD: Final = 1_000_000
"""The highest accepted amount, far below what a 64-bit number of units can hold."""

_DUST: Final = 3
"""Decimals that are kept before rounding up; further decimals are errors of floating-point
products.
"""


def units(cost_usd: float) -> int:
    """Rounds up, so that rounding never exceeds a budget."""
    return math.ceil(round(cost_usd * UNITS_PER_USD, _DUST))


def usd(cost: int) -> float:
    return cost / UNITS_PER_USD
