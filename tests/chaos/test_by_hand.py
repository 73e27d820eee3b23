"""Manual changes during judging: in Temporal, to the traces of the run, to its workers."""

import asyncio
import sqlite3
import sys
import time

import httpx
import pytest
from temporalio.testing import WorkflowEnvironment

from core.temporal import client as temporal_client
from core.temporal.client import run_workflow_id
from tests.chaos import store
from tests.chaos.auditing import audit, audit_stopped
from tests.chaos.lengths import lengths
from tests.chaos.stack import METRICS, ROOT, RUNS, Stack
from tests.conftest import temporal_binary

POSTS = 10


@pytest.mark.parametrize("traces", lengths(quick=20, full=300))
async def test_a_run_terminated_in_temporal_fails_at_once_and_asks_no_more(
    stack: Stack, traces: float
) -> None:
    await stack.control(latency=1)
    targets = await stack.store_traces(int(traces))
    run = await stack.post_run(targets)
    await stack.asked(30)
    client = await temporal_client.connect(
        default_address=f"127.0.0.1:{stack.plan.settings.temporal_port}"
    )
    await client.get_workflow_handle(run_workflow_id(run["id"])).terminate()
    ended = await stack.ended(run, seconds=5)
    assert "ended from outside" in ended["error_message"]
    await asyncio.sleep(1.5)
    asked = (await stack.stats())["calls"]
    await asyncio.sleep(2 if traces < 100 else 15)
    assert (await stack.stats())["calls"] == asked
    await audit_stopped(stack, run, targets)


@pytest.mark.parametrize("traces", lengths(quick=20, full=300))
async def test_traces_deleted_while_they_are_judged_leave_no_score_and_no_failure(
    stack: Stack, traces: float
) -> None:
    await stack.control(latency=1)
    targets = await stack.store_traces(int(traces))
    run = await stack.post_run(targets)
    await stack.asked(30)
    gone = targets.ids[::2]
    sent = {"trace_ids": gone}
    answer = await stack.api.post("/traces/batch/delete", json=sent)
    assert answer.json() == {"deleted": len(gone)}
    ended = await stack.ended(run)
    assert (ended["status"], ended["failed_count"]) == ("COMPLETED", 0), ended
    scored = await store.scores_of_targets(stack.database, targets.ids)
    assert set(scored) == {(target, metric) for target in targets.ids[1::2] for metric in METRICS}


@pytest.mark.chaos
async def test_a_worker_of_another_temporal_leaves_the_runs_of_this_one_alone(
    stack: Stack,
) -> None:
    await stack.control(outage=True)
    targets = await stack.store_traces(20)
    run = await stack.post_run(targets)
    await stack.asked(10)
    async with await WorkflowEnvironment.start_local(
        dev_server_existing_path=temporal_binary()
    ) as other:
        address = other.client.service_client.config.target_host
        worker = await asyncio.create_subprocess_exec(
            *(sys.executable, str(ROOT / "worker.py")),
            cwd=ROOT,
            env=stack.environment | {"TEMPORAL_ADDRESS": address},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said, _ = await asyncio.wait_for(worker.communicate(), 60)
        async for _ in other.client.list_workflows():
            raise AssertionError("a run was started in another Temporal too")
    assert worker.returncode == 2, said
    assert b"belong to the Temporal namespace default" in said
    await stack.control(outage=False)
    await audit(stack, run, targets)


@pytest.mark.chaos
async def test_behind_a_locked_database_clients_are_told_to_come_again(stack: Stack) -> None:
    await stack.store_traces(1)
    path = stack.plan.home.path / "assay.db"

    async def post() -> tuple[httpx.Response, float]:
        began = time.monotonic()
        answer = await stack.api.post(RUNS, json={"metrics": list(METRICS)})
        return answer, time.monotonic() - began

    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    try:
        answers = await asyncio.gather(*(post() for _ in range(POSTS)))
    finally:
        holder.execute("ROLLBACK")
        holder.close()
    assert {answer.status_code for answer, _ in answers} == {503}
    assert all(answer.headers["Retry-After"] for answer, _ in answers)
    # The first write waits for the database itself. The other writes gather meanwhile, and wait
    # too.
    assert max(took for _, took in answers) < 25
