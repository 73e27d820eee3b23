"""The API dies while it answers.

Acknowledged runs exist; other runs exist completely or not at all.
"""

import asyncio
import random
from uuid import uuid4

import httpx
import pytest

from tests.chaos import store
from tests.chaos.stack import RUNS, Json, Stack, Targets

CLIENTS = 6
ROUNDS = 4


@pytest.mark.chaos
async def test_every_acknowledged_run_ends_and_no_other_is_half_there(stack: Stack) -> None:
    await stack.control(latency=0.05)
    targets = await stack.store_traces(1)
    before = await store.run_ids(stack.database)
    acknowledged: dict[str, str] = {}
    sent: list[str] = []
    for _ in range(ROUNDS):
        clients = [
            asyncio.create_task(post_until_it_dies(stack, targets, sent, acknowledged))
            for _ in range(CLIENTS)
        ]
        await asyncio.sleep(random.uniform(0.3, 1.5))
        await stack.kill("api")
        await asyncio.gather(*clients)
        await stack.whole()
    assert acknowledged
    assert len(sent) > len(acknowledged)
    made = await store.run_ids(stack.database) - before
    assert set(acknowledged.values()) <= made
    for run_id in made:
        await ended_well(stack, run_id)
    # A repetition creates a run only if the first request created none.
    for key in sent:
        run = await stack.post_run(targets, **{"Idempotency-Key": key})
        assert acknowledged.get(key, run["id"]) == run["id"]
        await ended_well(stack, run["id"])
    assert len(await store.run_ids(stack.database) - before) == len(sent)


async def post_until_it_dies(
    stack: Stack, targets: Targets, sent: list[str], acknowledged: dict[str, str]
) -> None:
    while True:
        key = uuid4().hex
        sent.append(key)
        try:
            answer = await stack.api.post(RUNS, json=targets.body, headers={"Idempotency-Key": key})
        except httpx.TransportError:
            return
        assert answer.status_code == 202, answer.text
        acknowledged[key] = answer.json()["id"]


async def ended_well(stack: Stack, run_id: str) -> Json:
    run = await stack.ended({"id": run_id}, seconds=90)
    assert run["status"] == "COMPLETED", run
    found = await store.scores(stack.database, run_id)
    assert sorted(found.values()) == [1, 1, 1]
    return run


@pytest.mark.chaos
async def test_a_run_whose_workflow_never_started_is_started_within_a_minute(
    stack: Stack,
) -> None:
    """The state after the API died between its commit and the call of Temporal."""
    targets = await stack.store_traces(1)
    known = await stack.post_run(targets)
    await stack.ended(known)
    orphan = await store.leave_unstarted(stack.database, known["id"])
    run = await stack.ended({"id": orphan}, seconds=60)
    assert run["status"] == "COMPLETED"
