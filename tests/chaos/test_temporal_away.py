"""Temporal unavailable for a while: open runs wait, new runs are refused as a whole."""

import asyncio
import time

import pytest

from tests.chaos import store
from tests.chaos.auditing import audit
from tests.chaos.lengths import lengths
from tests.chaos.stack import RUNS, Json, Stack, Targets, until


@pytest.mark.parametrize("seconds", lengths(quick=3, full=60))
async def test_a_run_goes_on_when_temporal_is_back(stack: Stack, seconds: float) -> None:
    await stack.control(latency=1)
    targets = await stack.store_traces(20 if seconds < 10 else 150)
    run = await stack.post_run(targets)
    await stack.asked(30)
    known = await store.run_ids(stack.database)
    await stack.kill("temporal")
    await nothing_is_half_written(stack, targets, run, seconds)
    await stack.whole()
    await audit(stack, run, targets)
    again = await stack.post_run(targets, **{"Idempotency-Key": targets.tag})
    assert again["id"] not in known
    await audit(stack, again, targets)


@pytest.mark.chaos
async def test_a_run_goes_on_when_temporal_answers_again(stack: Stack) -> None:
    targets = await stack.store_traces(150)
    run = await stack.post_run(targets)
    await stack.asked(30)
    await stack.freeze("temporal")
    await nothing_is_half_written(stack, targets, run, 60)
    await stack.thaw("temporal")
    await audit(stack, run, targets)


async def nothing_is_half_written(
    stack: Stack, targets: Targets, run: Json, seconds: float
) -> None:
    """While Temporal is unavailable, changes are refused and reads are answered in time."""
    await until(lambda: says_it_is_away(stack))
    known = await store.run_ids(stack.database)
    back_at = time.monotonic() + seconds
    headers = {"Idempotency-Key": targets.tag}
    while True:
        refused = await stack.api.post(RUNS, json=targets.body, headers=headers)
        assert refused.status_code == 503, refused.text
        assert "Temporal cannot be reached" in refused.json()["detail"]
        refused = await stack.api.post(f"{RUNS}/{run['id']}/cancel")
        assert refused.status_code == 503, refused.text
        asked_at = time.monotonic()
        assert (await stack.get_run(run))["status"] == "RUNNING"
        # Two seconds, plus a margin for a busy machine.
        assert time.monotonic() - asked_at < 5
        assert await store.run_ids(stack.database) == known
        if time.monotonic() > back_at:
            return
        await asyncio.sleep(min(1, seconds / 3))


async def says_it_is_away(stack: Stack) -> bool:
    """Waits until the API notices.

    For a second it trusts its last answer from Temporal; a run that is posted in this time waits.
    """
    return (await stack.api.get("/ready")).status_code == 503
