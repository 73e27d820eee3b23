"""Temporal gone for a while: runs under way wait for it, new ones are refused whole."""

import asyncio
import time

import pytest

from tests.chaos import store
from tests.chaos.auditing import audit
from tests.chaos.lengths import lengths
from tests.chaos.stack import RUNS, Stack

KEY = "posted-while-temporal-was-away"


@pytest.mark.parametrize("seconds", lengths(quick=3, full=60))
async def test_a_run_goes_on_when_temporal_is_back(stack: Stack, seconds: float) -> None:
    targets = await stack.store_traces(20 if seconds < 10 else 150)
    run = await stack.post_run(targets)
    await stack.asked(30)
    known = await store.run_ids(stack.database)
    await stack.kill("temporal")
    back_at = time.monotonic() + seconds
    while True:
        refused = await stack.api.post(RUNS, json=targets.body, headers={"Idempotency-Key": KEY})
        assert refused.status_code == 503, refused.text
        assert "Temporal cannot be reached" in refused.json()["detail"]
        refused = await stack.api.post(f"{RUNS}/{run['id']}/cancel")
        assert refused.status_code == 503, refused.text
        asked_at = time.monotonic()
        assert (await stack.get_run(run))["status"] == "RUNNING"
        assert time.monotonic() - asked_at < 2.5
        assert await store.run_ids(stack.database) == known
        if time.monotonic() > back_at:
            break
        await asyncio.sleep(min(1, seconds / 3))
    await stack.whole()
    await audit(stack, run, targets)
    again = await stack.post_run(targets, **{"Idempotency-Key": KEY})
    assert again["id"] not in known
    await audit(stack, again, targets)
