"""Workers that die, and workers that are replaced by a newer release, in the middle of a run."""

import asyncio
import json
import random
import shutil
import sys
from pathlib import Path

import pytest

from core import temporal
from core.temporal import batch_workflow_id, run_workflow_id
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
        await stack.asked((await stack.stats())["calls"] + 1)
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
    """What it held is with the other one by then: no pair gets a second score."""
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
    """Our own code, but for workflows that do one thing more: the command that serves it."""
    for name in ("activities", "core", "evals", "workflows"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "worker.py", folder)
    for file, before, after in (
        ("batch.py", "    async def _judge(self, pair: Pair) -> None:\n", PAUSE_FIRST),
        (
            "evaluation.py",
            '        self._state.activity = "writing down how it ended"\n',
            PAUSE_LAST,
        ),
    ):
        path = folder / "workflows" / file
        code = path.read_text()
        assert code.count(before) == 1, "the workflow has changed: change this test with it"
        path.write_text(code.replace(before, before + after))
    return [sys.executable, str(folder / "worker.py")]


BATCH_PATCH, RUN_PATCH = "pause-before-each-pair", "pause-before-the-end"
PAUSE_FIRST = f"""\
        if workflow.patched("{BATCH_PATCH}"):
            await workflow.sleep(0.01)
"""
PAUSE_LAST = f"""\
        if workflow.patched("{RUN_PATCH}"):
            await workflow.sleep(0.01)
"""


@pytest.mark.chaos
async def test_a_run_goes_on_under_the_workflow_code_of_the_next_release(
    stack: Stack, tmp_path: Path
) -> None:
    await stack.control(latency=LATENCY)
    targets = await stack.store_traces(200)
    run = await stack.post_run(targets)
    await stack.asked(150)
    assert await stack.stop("worker-1") == 0
    assert (await stack.get_run(run))["status"] == "RUNNING"
    try:
        await stack.start("worker-1", next_release(tmp_path))
        await audit(stack, run, targets)
        assert RUN_PATCH in await patches(stack, run_workflow_id(run["id"]))
        # What began before goes on as it began.
        assert BATCH_PATCH not in await patches(stack, batch_workflow_id(run["id"], 0))
        later = await stack.store_traces(2)
        await stack.calm()
        run = await stack.post_run(later)
        await audit(stack, run, later)
        assert BATCH_PATCH in await patches(stack, batch_workflow_id(run["id"], 0))
    finally:
        await stack.stop("worker-1")


async def patches(stack: Stack, workflow_id: str) -> set[str]:
    """The names of the patches that a workflow has taken part in."""
    client = await temporal.connect(
        default_address=f"127.0.0.1:{stack.plan.settings.temporal_port}"
    )
    history = await client.get_workflow_handle(workflow_id).fetch_history()
    markers = [
        event.marker_recorded_event_attributes
        for event in history.events
        if event.HasField("marker_recorded_event_attributes")
    ]
    found = [marker.details["patch-data"].payloads[0].data for marker in markers]
    return {json.loads(data)["id"] for data in found}
