from collections.abc import Sequence
from math import sqrt


def cosine(one: Sequence[float], other: Sequence[float]) -> float:
    """In [-1, 1]; 0 where either has no direction."""
    lengths = sqrt(sum(a * a for a in one)) * sqrt(sum(b * b for b in other))
    if not lengths:
        return 0.0
    product = sum(a * b for a, b in zip(one, other, strict=True))
    return min(1.0, max(-1.0, product / lengths))
