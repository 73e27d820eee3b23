"""What counts as tokens, dollars and latency of a span."""

from datetime import timedelta
from typing import Any

import pytest

from core.ingestion import dollars, latency_ms, tokens
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
