from collections.abc import Sequence
from math import sqrt


def cosine(first: Sequence[float], other: Sequence[float]) -> float:
    """Cosine similarity in [-1, 1]; 0 if either vector is zero."""
    lengths = sqrt(sum(a * a for a in first)) * sqrt(sum(b * b for b in other))
    if not lengths:
        return 0.0
    product = sum(a * b for a, b in zip(first, other, strict=True))
    return min(1.0, max(-1.0, product / lengths))
