"""Cancelling and deleting a run at full load, just after a worker was killed."""

import asyncio

import pytest
from temporalio.client import WorkflowExecutionStatus

from core.temporal import client as temporal_client
from core.temporal.client import run_workflow_id
from tests.chaos import store
from tests.chaos.auditing import audit_stopped
from tests.chaos.stack import METRICS, RUNS, Json, Stack, Targets, until

pytestmark = pytest.mark.chaos

WORKERS = [1, 2]
"""The number of workers, one of which is killed: none or one is left."""


async def under_load(stack: Stack, workers: int) -> tuple[Json, Targets]:
    await stack.whole(workers=workers)
    # Invalid answers are repaired; these calls must stop too.
    await stack.control(latency=1, spread=0.5, malformed=0.3)
    targets = await stack.store_traces(300)
    run = await stack.post_run(targets)
    await until(lambda: has_scores(stack, run))
    await stack.kill(f"worker-{workers}")
    return run, targets


async def has_scores(stack: Stack, run: Json) -> bool:
    return (await store.scores(stack.database, run["id"])).total() > 0


async def nothing_is_asked(stack: Stack, workers: int) -> None:
    """Checks that no question arrives after two seconds, although a worker returns."""
    await asyncio.sleep(2)
    asked = (await stack.stats())["calls"]
    await stack.start(f"worker-{workers}")
    await stack.serves(f"worker-{workers}")
    await asyncio.sleep(15)
    assert (await stack.stats())["calls"] == asked


@pytest.mark.parametrize("workers", WORKERS)
async def test_no_call_starts_later_than_two_seconds_after_a_cancel(
    stack: Stack, workers: int
) -> None:
    run, targets = await under_load(stack, workers)
    answer = await stack.api.post(f"{RUNS}/{run['id']}/cancel")
    assert answer.status_code == 202, answer.text
    await nothing_is_asked(stack, workers)
    stopped = await audit_stopped(stack, run, targets)
    assert "ancelled" in stopped["error_message"]
    assert stopped["evaluated_count"] < 300


@pytest.mark.parametrize("workers", WORKERS)
async def test_no_call_starts_later_than_two_seconds_after_a_delete(
    stack: Stack, workers: int
) -> None:
    run, targets = await under_load(stack, workers)
    answer = await stack.api.delete(f"{RUNS}/{run['id']}")
    assert answer.status_code == 204, answer.text
    kept = await store.scores_of_targets(stack.database, targets.ids)
    await nothing_is_asked(stack, workers)
    assert (await stack.api.get(f"{RUNS}/{run['id']}")).status_code == 404
    # Scores stay without their run, and no further score appears.
    assert await store.scores_of_targets(stack.database, targets.ids) == kept
    assert set(kept.values()) == {1}
    assert kept.total() < 300 * len(METRICS)
    await until(lambda: is_closed(stack, run), seconds=90)


async def is_closed(stack: Stack, run: Json) -> bool:
    client = await temporal_client.connect(
        default_address=f"127.0.0.1:{stack.plan.settings.temporal_port}"
    )
    described = await client.get_workflow_handle(run_workflow_id(run["id"])).describe()
    return described.status is not WorkflowExecutionStatus.RUNNING


@pytest.mark.parametrize("workers", [2])
async def test_a_cancel_under_load_stops_every_worker(stack: Stack, workers: int) -> None:
    await stack.whole(workers=workers)
    await stack.control(latency=1, spread=0.5, malformed=0.3)
    targets = await stack.store_traces(300)
    run = await stack.post_run(targets)
    await stack.asked(300)
    answer = await stack.api.post(f"{RUNS}/{run['id']}/cancel")
    assert answer.status_code == 202, answer.text
    await asyncio.sleep(2)
    asked = (await stack.stats())["calls"]
    await asyncio.sleep(10)
    assert (await stack.stats())["calls"] == asked
    await audit_stopped(stack, run, targets)
