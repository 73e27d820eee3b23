"""Combines the readings of all vocabularies: takes the richest reading of each field."""

from collections.abc import Sequence
from typing import Any, Final

from pydantic import JsonValue

from api.otlp.catalog import vocabularies
from api.otlp.vocabulary import Reading, SpanSource
from core.content import has_content
from core.ids import SpanKind
from core.token_usage import tokens

_FIRST: Final = (
    *("name", "model", "model_parameters", "cost", "error", "first_token_seconds"),
    *("completion_start_time", "tools", "session_id", "user_id"),
    *("environment", "release"),
)
"""Fields that come from the most specific vocabulary."""


def read(source: SpanSource) -> Reading:
    """Reads the span with every vocabulary that knows one of its attributes or events."""
    heads = source.attributes.heads | source.events.heads
    readings = [
        reading
        for vocabulary in vocabularies()
        if not heads.isdisjoint(vocabulary.heads)
        and (reading := vocabulary.read(source)) is not None
    ]
    return readings[0] if len(readings) == 1 else _merged(readings)


def _merged(readings: Sequence[Reading]) -> Reading:
    """`readings` are ordered from the most specific to the most common vocabulary."""
    kind = _kind(readings)
    merged = Reading(kind=kind)
    for name in _FIRST:
        values = (getattr(reading, name) for reading in readings)
        setattr(merged, name, next((value for value in values if value is not None), None))
    merged.input = _richest([reading.input for reading in readings], kind)
    merged.output = _richest([reading.output for reading in readings], kind)
    merged.token_usage = max((r.token_usage for r in readings), key=_numbers, default=None)
    merged.is_error = any(reading.is_error for reading in readings)
    merged.tags = list(dict.fromkeys(t for r in readings for t in r.tags if isinstance(t, str)))
    for reading in reversed(readings):
        merged.metadata |= reading.metadata
    return merged


def _kind(readings: Sequence[Reading]) -> SpanKind | None:
    """The kind that the span names, else the kind that its attributes suggest."""
    named = (r.kind for r in readings if r.kind is not None and not r.kind_is_guessed)
    guessed = (r.kind for r in readings if r.kind is not None)
    return next(named, None) or next(guessed, None)


def _richest(values: Sequence[JsonValue], kind: SpanKind | None) -> JsonValue:
    """The first of the richest values: messages are richer than objects and lists, these richer
    than text.
    """
    return max(values, key=lambda value: _richness(value, kind), default=None)


def _richness(value: JsonValue, kind: SpanKind | None) -> int:
    if value is None:
        return 0
    if not has_content(value):
        return 1
    if not isinstance(value, dict | list):
        return 2
    # Arguments and results of a tool are not messages.
    speaks = kind is not SpanKind.TOOL and isinstance(value, dict) and "messages" in value
    return 4 if speaks else 3


def _numbers(usage: Any) -> tuple[bool, int]:
    """The rank of a usage: whether it counts anything, and the number of its names."""
    if not isinstance(usage, dict):
        return False, 0
    return tokens(usage).total > 0, sum(value is not None for value in usage.values())
