"""Workers that are killed while a run has a budget."""

import asyncio

import pytest

from core.model_prices import price_of
from tests.chaos.stack import CALLS_PER_TRACE, RUNS, Json, Stack, until

BUDGET_USD = 0.06


async def bill(stack: Stack) -> float:
    """The bill according to the judge's own count of tokens."""
    stats, price = await stack.stats(), price_of("gpt-4o-mini")
    assert price is not None
    return float(
        stats["prompt_tokens"] * price.prompt + stats["completion_tokens"] * price.completion
    )


@pytest.mark.chaos
async def test_a_killed_worker_neither_overdraws_a_budget_nor_blocks_it(stack: Stack) -> None:
    await stack.whole(workers=2)
    await stack.control(latency=1.0)
    targets = await stack.store_traces(100)
    body = targets.body | {"max_cost_usd": BUDGET_USD}
    answer = await stack.api.post(RUNS, json=body)
    assert answer.status_code == 202, answer.text
    run: Json = answer.json()
    await stack.asked(10)
    await stack.kill("worker-2")

    async def is_paused() -> bool:
        return bool((await stack.get_run(run))["paused"])

    await until(is_paused)
    paused = await stack.get_run(run)
    assert (await stack.stats())["in_flight"] == 0
    assert await bill(stack) <= BUDGET_USD
    assert paused["budget"]["open_usd"] == 0
    assert paused["budget"]["uncertain_usd"] > 0
    assert paused["activity"].startswith("Paused at its budget")
    await asyncio.sleep(2)
    calls = (await stack.stats())["calls"]
    resumed = await stack.api.post(f"{RUNS}/{run['id']}/resume", json={"max_cost_usd": 5})
    assert resumed.status_code == 202, resumed.text
    ended = await stack.ended(run)
    assert (ended["status"], ended["failed_count"]) == ("COMPLETED", 0)
    scores = (await stack.api.get(f"{RUNS}/{run['id']}/scores")).json()
    assert len(scores) == 100 * CALLS_PER_TRACE
    assert (await stack.stats())["calls"] > calls
