"""Computed costs of spans without a stated cost."""

import subprocess
import sys

import pytest

from core.model_prices import computed_cost, price_of
from core.token_usage import Tokens, tokens

MODEL = "gpt-4o-mini"


def test_the_cost_of_a_call_is_that_of_its_tokens() -> None:
    price = price_of(MODEL)
    assert price is not None
    cost = computed_cost(MODEL, tokens({"prompt_tokens": 1000, "completion_tokens": 100}))
    assert cost is not None
    assert cost["computed"] is True
    assert cost["total"] == pytest.approx(1000 * price.prompt + 100 * price.completion)
    assert cost["total"] == pytest.approx(cost["prompt"] + cost["completion"])


def test_cached_tokens_cost_less_whether_counted_within_the_prompt_or_beside() -> None:
    within = tokens({"prompt_tokens": 1000, "prompt_tokens_details": {"cached_tokens": 600}})
    beside = tokens({"input_tokens": 400, "cache_read_input_tokens": 600})
    plain = tokens({"prompt_tokens": 1000})
    costs = [computed_cost(MODEL, usage) for usage in (within, beside, plain)]
    totals = [cost["total"] for cost in costs if cost is not None]
    assert totals[0] == totals[1] < totals[2]


@pytest.mark.parametrize(
    "name",
    ["openai/gpt-4o-mini", "GPT-4o-mini", "gpt-4o-mini-2031-01-01", "x/gpt-4o-mini@20310101"],
)
def test_a_model_is_known_without_its_provider_and_date(name: str) -> None:
    assert price_of(name) == price_of(MODEL)


def test_a_model_that_nobody_prices_costs_nothing_known() -> None:
    assert computed_cost("my-own-model", Tokens(total=5, prompt=5)) is None


def test_prices_are_read_without_loading_litellm() -> None:
    code = (
        "import sys; from core.model_prices import price_of; assert price_of('gpt-4o-mini'); "
        "assert 'litellm' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
