"""Workers that die or are replaced by a newer release in the middle of a run."""

import asyncio
import json
import random
import shutil
import sys
from pathlib import Path

import pytest

from core.temporal import client as temporal_client
from core.temporal.client import batch_workflow_id, run_workflow_id
from tests.chaos.auditing import audit
from tests.chaos.stack import ROOT, Stack

LATENCY = 1.0


@pytest.mark.chaos
async def test_the_only_worker_may_be_killed_five_times_in_one_run(stack: Stack) -> None:
    await stack.control(latency=LATENCY)
    targets = await stack.store_traces(200)
    run = await stack.post_run(targets)
    chance = random.Random()
    for _ in range(5):
        await stack.asked_again(1)
        await asyncio.sleep(chance.uniform(0, 2))
        await stack.kill("worker-1")
        assert (await stack.get_run(run))["status"] == "RUNNING"
        await stack.start("worker-1")
        await stack.serves("worker-1")
    assert stack.lost > 0
    await audit(stack, run, targets)


@pytest.mark.chaos
async def test_one_of_two_workers_may_be_killed(stack: Stack) -> None:
    await stack.whole(workers=2)
    await stack.control(latency=LATENCY)
    targets = await stack.store_traces(100)
    run = await stack.post_run(targets)
    await stack.asked(100)
    await stack.kill("worker-2")
    await audit(stack, run, targets)


@pytest.mark.chaos
async def test_a_worker_that_everybody_took_for_dead_may_go_on(stack: Stack) -> None:
    """By then another worker has its pairs, and no pair gets a second score."""
    await stack.whole(workers=2)
    await stack.control(latency=LATENCY)
    targets = await stack.store_traces(100)
    run = await stack.post_run(targets)
    await stack.asked(100)
    await stack.freeze("worker-2")
    await asyncio.sleep(15)
    await stack.thaw("worker-2")
    await audit(stack, run, targets)


def next_release(folder: Path) -> list[str]:
    """The command of a worker whose workflows do one more step."""
    for name in ("activities", "core", "evals", "workflows"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "worker.py", folder)
    for file, before, after in (
        (
            "pair_judging.py",
            "    async def _judge(self, pair: PairRef, route: JudgeRoute) -> PairEnd:\n",
            PAUSE_FIRST,
        ),
        ("eval_run.py", "        self._activity = run_activity.FINISHING\n", PAUSE_LAST),
    ):
        path = folder / "workflows" / file
        code = path.read_text()
        assert code.count(before) == 1, "the workflow has changed: change this test with it"
        path.write_text(code.replace(before, before + after))
    return [sys.executable, str(folder / "worker.py")]


PAIR_PATCH, RUN_PATCH = "pause-before-each-pair", "pause-before-the-end"
PAUSE_FIRST = f"""\
        if workflow.patched("{PAIR_PATCH}"):
            await workflow.sleep(0.01)
"""
PAUSE_LAST = f"""\
        if workflow.patched("{RUN_PATCH}"):
            await workflow.sleep(0.01)
"""


def test_the_workflow_code_of_the_next_release_can_be_made(tmp_path: Path) -> None:
    assert next_release(tmp_path)


@pytest.mark.chaos
async def test_a_run_goes_on_under_the_workflow_code_of_the_next_release(
    stack: Stack, tmp_path: Path
) -> None:
    await stack.control(latency=LATENCY)
    release = next_release(tmp_path)
    targets = await stack.store_traces(200)
    run = await stack.post_run(targets)
    await stack.asked(150)
    assert await stack.stop("worker-1") == 0
    assert (await stack.get_run(run))["status"] == "RUNNING"
    try:
        await stack.start("worker-1", release)
        await audit(stack, run, targets)
        assert RUN_PATCH in await patches(stack, run_workflow_id(run["id"]))
        # Open runs continue without the new step.
        assert PAIR_PATCH not in await patches(stack, batch_workflow_id(run["id"], 0))
        later = await stack.store_traces(2)
        await stack.calm()
        run = await stack.post_run(later)
        await audit(stack, run, later)
        # So few pairs need no batch.
        assert PAIR_PATCH in await patches(stack, run_workflow_id(run["id"]))
    finally:
        await stack.stop("worker-1")


async def patches(stack: Stack, workflow_id: str) -> set[str]:
    """The names of the patches in a workflow's history."""
    client = await temporal_client.connect(
        default_address=f"127.0.0.1:{stack.plan.settings.temporal_port}"
    )
    history = await client.get_workflow_handle(workflow_id).fetch_history()
    markers = [
        event.marker_recorded_event_attributes
        for event in history.events
        if event.HasField("marker_recorded_event_attributes")
    ]
    found = [
        payload.data for marker in markers for payload in marker.details["patch-data"].payloads
    ]
    return {json.loads(data)["id"] for data in found}
