"""Reads token counts and cost from a span's usage, under the names that providers use."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

# Far above the limits of any model, and so low that sums over millions of spans fit into 64 bits.
_MAX_TOKENS: Final = 2**40
_MAX_COST: Final = 1e12

_PROMPT: Final = (
    *("prompt_tokens", "input_tokens", "input", "promptTokens", "inputTokens"),
    *("promptTokenCount", "prompt_token_count", "prompt_eval_count", "inputTokenCount"),
    *("input_token_count", "request_tokens", "prompt"),
)
_COMPLETION: Final = (
    *("completion_tokens", "output_tokens", "output", "completionTokens", "outputTokens"),
    *("candidatesTokenCount", "candidates_token_count", "eval_count", "outputTokenCount"),
    *("output_token_count", "response_tokens", "completion", "generated_tokens"),
)
_TOTAL: Final = (*("total_tokens", "total", "totalTokens", "totalTokenCount", "total_token_count"),)
_THOUGHTS: Final = ("thoughtsTokenCount", "thoughts_token_count")
"""Gemini counts reasoning tokens separately from its answer."""

_CACHED_WITHIN: Final = (
    *("prompt_tokens_details", "input_tokens_details", "input_token_details"),
    *("inputTokenDetails", "promptTokensDetails", "inputTokensDetails"),
)
_REASONED_WITHIN: Final = (
    *("completion_tokens_details", "output_tokens_details", "output_token_details"),
    *("outputTokenDetails", "completionTokensDetails", "outputTokensDetails"),
)
_CACHE_READ: Final = (
    *("cache_read_input_tokens", "cache_read_tokens", "cacheReadInputTokens", "cached_tokens"),
    *("cachedInputTokens", "cachedContentTokenCount", "cached_content_token_count"),
    *("prompt_cache_read_tokens", "cache_read", "cacheReadTokens", "input_cached_tokens"),
    *("cacheReadInputTokenCount", "prompt_cache_hit_tokens", "prompt_cache_input_tokens"),
    "input_cache_read",
)
_CACHE_WRITE: Final = (
    *("cache_creation_input_tokens", "cache_creation_tokens", "cacheWriteInputTokens"),
    *("cache_write_input_tokens", "cache_creation", "cacheWriteTokens", "cache_write_tokens"),
    *("cacheWriteInputTokenCount", "prompt_cache_write_tokens", "input_cache_creation"),
)
_REASONING: Final = (
    *("reasoning_output_tokens", "reasoning_tokens", "reasoningTokens", "reasoning"),
    *("thoughtsTokenCount", "thoughts_token_count", "output_reasoning_tokens"),
    "completion_reasoning_tokens",
)
_BESIDE: Final = ("cache_read_input_tokens", "cacheReadInputTokens", "cacheReadInputTokenCount")
"""Anthropic and Bedrock count cached tokens separately from the input; other providers include
them.
"""


@dataclass(frozen=True, slots=True)
class Tokens:
    """`prompt` excludes cached tokens if the provider excludes them.

    `cache_read` and `cache_write` belong to the prompt, `reasoning` belongs to the completion.
    """

    total: int = 0
    prompt: int = 0
    completion: int = 0
    cache_read: int = 0
    cache_write: int = 0
    reasoning: int = 0
    cached_beside_prompt: bool = False


def tokens(usage: Mapping[str, Any] | None) -> Tokens:
    """The tokens that a span's usage states.

    An unstated total is the sum of its parts. A null or a text that is not a number under one name
    does not hide a number under another name.
    """
    if not usage:
        return Tokens()
    prompt, completion = _first(usage, _PROMPT), _first(usage, _COMPLETION)
    total = _first(usage, _TOTAL)
    thoughts = _first(usage, _THOUGHTS) or 0
    if prompt is not None or completion is not None:
        completion = (completion or 0) + thoughts
    parts = (prompt or 0) + (completion or 0)
    return Tokens(
        total=total or parts,
        prompt=prompt or 0,
        completion=completion or 0,
        cache_read=_detail(usage, _CACHE_READ, _CACHED_WITHIN),
        cache_write=_detail(usage, _CACHE_WRITE, _CACHED_WITHIN),
        reasoning=_detail(usage, _REASONING, _REASONED_WITHIN),
        cached_beside_prompt=_is_beside(usage),
    )


def dollars(cost: Mapping[str, Any] | None) -> float:
    """The total that a span's cost states, or the sum of its parts."""
    if not cost:
        return 0.0
    for name in ("total", "total_cost", "totalCost"):
        total = _amount(cost.get(name))
        if total is not None:
            return total
    return math.fsum(_amount(part) or 0.0 for part in cost.values())


def _is_beside(usage: Mapping[str, Any]) -> bool:
    named = "input_tokens" in usage or "inputTokens" in usage
    return named and any(_count(usage.get(name)) is not None for name in _BESIDE)


def _detail(usage: Mapping[str, Any], names: Iterable[str], holders: Iterable[str]) -> int:
    here = _first(usage, names)
    if here is not None:
        return here
    for holder in holders:
        inner = usage.get(holder)
        if isinstance(inner, Mapping) and (found := _first(inner, names)) is not None:
            return found
    return 0


def _first(usage: Mapping[str, Any], names: Iterable[str]) -> int | None:
    for name in names:
        if name in usage and (found := _count(usage[name])) is not None:
            return found
    return None


def _count(value: object) -> int | None:
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < _MAX_TOKENS:
        return int(value)
    return None


def _amount(value: object) -> float | None:
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < _MAX_COST:
        return float(value)
    return None
