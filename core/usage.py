from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Usage:
    """What judging cost. `cost_usd` is None as soon as one call's price is unknown, never 0."""

    calls: int = 0
    cached_calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: float | None = 0.0
    latency_ms: int = 0

    def __add__(self, other: "Usage") -> "Usage":
        costs = (self.cost_usd, other.cost_usd)
        return Usage(
            calls=self.calls + other.calls,
            cached_calls=self.cached_calls + other.cached_calls,
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            completion_tokens=self.completion_tokens + other.completion_tokens,
            cost_usd=None if None in costs else sum(c for c in costs if c is not None),
            latency_ms=self.latency_ms + other.latency_ms,
        )
