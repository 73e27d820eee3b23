"""Usage of judge calls, and durations."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from core.saved_fields import known_fields


@dataclass(frozen=True, slots=True)
class Usage:
    """Calls, tokens and cost. A cost is None, never 0, if the price of any of its calls is unknown.

    `repair_calls` and `repair_cost_usd` are the part of `calls` and `cost_usd` that repaired or
    repeated an earlier call for the same answer.
    """

    calls: int = 0
    cached_calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: float | None = 0.0
    latency_ms: int = 0
    repair_calls: int = 0
    repair_cost_usd: float | None = 0.0

    @classmethod
    def of_saved(cls, saved: Mapping[str, Any] | None) -> "Usage":
        """Reads a dictionary of this or another release; unknown entries are ignored."""
        return cls(**known_fields(cls, saved))

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            calls=self.calls + other.calls,
            cached_calls=self.cached_calls + other.cached_calls,
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            completion_tokens=self.completion_tokens + other.completion_tokens,
            cost_usd=_total(self.cost_usd, other.cost_usd),
            latency_ms=self.latency_ms + other.latency_ms,
            repair_calls=self.repair_calls + other.repair_calls,
            repair_cost_usd=_total(self.repair_cost_usd, other.repair_cost_usd),
        )

    def as_repairs(self) -> "Usage":
        """The same usage, with each of its calls counted as a repair."""
        return replace(self, repair_calls=self.calls, repair_cost_usd=self.cost_usd)

    def share(self, place: int, among: int) -> "Usage":
        """The share of one of `among` callers of one call: an equal part; the first also gets the
        remainder. The shares add up to the whole exactly. Each share has the full latency, because
        each caller waited that long.
        """
        return Usage(
            calls=_part(self.calls, place, among),
            cached_calls=_part(self.cached_calls, place, among),
            prompt_tokens=_part(self.prompt_tokens, place, among),
            completion_tokens=_part(self.completion_tokens, place, among),
            cost_usd=_cost_part(self.cost_usd, place, among),
            latency_ms=self.latency_ms,
            repair_calls=_part(self.repair_calls, place, among),
            repair_cost_usd=_cost_part(self.repair_cost_usd, place, among),
        )


# Prices per million tokens have few digits, so every cost is a multiple of this unit.
_COST_UNITS = 10**12


def _part(whole: int, place: int, among: int) -> int:
    equal = whole // among
    return whole - equal * (among - 1) if place == 0 else equal


def _cost_part(cost: float | None, place: int, among: int) -> float | None:
    if cost is None:
        return None
    return _part(round(cost * _COST_UNITS), place, among) / _COST_UNITS


def _total(first: float | None, other: float | None) -> float | None:
    return None if first is None or other is None else first + other


def latency_ms(started_at: datetime, ended_at: datetime | None) -> float | None:
    """None without an end, and None if the end lies before the start because clocks disagree."""
    if ended_at is None or ended_at < started_at:
        return None
    return round((ended_at - started_at).total_seconds() * 1000, 3)
