"""Tokens, cost and latency of spans."""

from datetime import timedelta
from typing import Any

import pytest

from core.token_usage import dollars, tokens
from core.usage import latency_ms
from tests.factories import START


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (None, 0),
        ({}, 0),
        ({"total_tokens": 7, "prompt_tokens": 1}, 7),
        ({"total": 7}, 7),
        ({"prompt_tokens": 3, "completion_tokens": 4}, 7),
        ({"input_tokens": 3, "output_tokens": 4}, 7),
        ({"input": 3, "output": 4}, 7),
        ({"prompt_tokens": 3, "prompt_tokens_details": {"cached_tokens": 9}}, 3),
        ({"total_tokens": None, "prompt_tokens": 3}, 3),
        ({"total_tokens": 5.0}, 5),
        ({"total_tokens": -1, "prompt_tokens": 2}, 2),
        ({"total_tokens": "many"}, 0),
        ({"total_tokens": True}, 0),
        ({"total_tokens": 10**30}, 0),
    ],
)
def test_tokens_are_the_total_or_the_sum_of_the_parts(
    usage: dict[str, Any] | None, expected: int
) -> None:
    assert tokens(usage).total == expected


@pytest.mark.parametrize(
    ("cost", "expected"),
    [
        (None, 0),
        ({}, 0),
        ({"total": 0.5, "input": 9}, 0.5),
        ({"total_cost": 0.5}, 0.5),
        ({"input": 0.1, "output": 0.2, "currency": "USD"}, 0.3),
        ({"total": -1, "input": 0.1}, 0.1),
        ({"total": True}, 0),
        ({"total": 1e300}, 0),
    ],
)
def test_dollars_are_the_total_or_the_sum_of_the_parts(
    cost: dict[str, Any] | None, expected: float
) -> None:
    assert dollars(cost) == pytest.approx(expected)


def test_latency_is_in_milliseconds_and_never_negative() -> None:
    assert latency_ms(START, START + timedelta(milliseconds=1.5)) == 1.5
    assert latency_ms(START, None) is None
    assert latency_ms(START, START - timedelta(seconds=1)) is None


@pytest.mark.parametrize(
    "usage",
    [
        {"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15},
        {"input_tokens": 12, "output_tokens": 3},
        {"prompt_tokens": None, "input_tokens": 12, "completion_tokens": "", "output_tokens": 3},
        {"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": None},
        {"prompt_tokens": "12", "completion_tokens": "3.0"},
        {"input": 12, "output": 3, "unit": "TOKENS"},
        {"promptTokens": 12, "completionTokens": 3},
        {"inputTokens": 12, "outputTokens": 3, "totalTokens": 15},
        {"promptTokenCount": 12, "candidatesTokenCount": 1, "thoughtsTokenCount": 2},
        {"prompt_token_count": 12, "candidates_token_count": 3, "total_token_count": 15},
        {"prompt_eval_count": 12, "eval_count": 3},
        {"inputTokenCount": 12, "outputTokenCount": 3},
    ],
)
def test_fifteen_tokens_under_any_names(usage: dict[str, Any]) -> None:
    found = tokens(usage)
    assert (found.total, found.prompt, found.completion) == (15, 12, 3)


@pytest.mark.parametrize(
    "usage",
    [
        {},
        {"prompt_tokens": -1},
        {"prompt_tokens": True},
        {"prompt_tokens": "many"},
        {"prompt_tokens": float("nan")},
        {"total_tokens": 1e300},
        {"input": {"text": 1}},
    ],
)
def test_what_counts_nothing_is_0(usage: dict[str, Any]) -> None:
    assert tokens(usage).total == 0


@pytest.mark.parametrize(
    ("usage", "read", "written", "reasoning", "beside"),
    [
        (
            {
                "prompt_tokens": 12,
                "prompt_tokens_details": {"cached_tokens": 8},
                "completion_tokens_details": {"reasoning_tokens": 2},
            },
            *(8, 0, 2, False),
        ),
        (
            {"input_tokens": 12, "cache_read_input_tokens": 100, "cache_creation_input_tokens": 5},
            *(100, 5, 0, True),
        ),
        ({"inputTokens": 1, "cacheReadInputTokens": 4}, 4, 0, 0, True),
        ({"prompt_tokens": 12, "cache_read_input_tokens": 8}, 8, 0, 0, False),
        ({"promptTokenCount": 12, "cachedContentTokenCount": 8}, 8, 0, 0, False),
        (
            {"input_token_details": {"cache_read": 3}, "output_token_details": {"reasoning": 4}},
            *(3, 0, 4, False),
        ),
    ],
)
def test_cached_and_reasoning_tokens(
    usage: dict[str, Any], read: int, written: int, reasoning: int, beside: bool
) -> None:
    found = tokens(usage)
    assert (found.cache_read, found.cache_write, found.reasoning) == (read, written, reasoning)
    assert found.cached_beside_prompt is beside
