"""The progress of an open run: its counts, and its page in Temporal."""

import asyncio
from typing import Any

from core.ids import RunStatus
from evals.judges.protocol import Question
from tests.workflows.conftest import METRICS, Stack
from tests.workflows.judges import Doors


async def test_progress_is_seen_while_the_run_goes_on(stack: Stack) -> None:
    doors = stack.judges.script = Doors()
    async with stack.worker():
        run = await stack.post(traces=2)
        await doors.reached.wait()
        progress = await stack.eval_runs.progress(run.id)
        assert progress is not None
        assert (progress.status, progress.total_targets, progress.activity) == (
            RunStatus.RUNNING,
            2,
            "judging",
        )
        doors.open.set()
        await stack.handle(run).result()


async def test_the_last_counts_are_known_when_no_worker_answers_any_more(stack: Stack) -> None:
    gate = asyncio.Event()

    async def one(_question: Question[Any], _times: int) -> None:
        if stack.judges.asked.total() > 1:
            await gate.wait()

    stack.judges.script = one
    async with stack.worker(shutdown_grace_seconds=0):
        run = await stack.post(traces=2, metric_names=METRICS[:1])
        async with asyncio.timeout(20):
            while stack.eval_runs.last_counts(run.id) != (1, 0):
                await stack.eval_runs.progress(run.id)
                await asyncio.sleep(0.1)
    await stack.handle(run).terminate()
    assert stack.eval_runs.last_counts(run.id) == (1, 0)


async def test_without_a_worker_progress_is_unknown_within_two_seconds(stack: Stack) -> None:
    run = await stack.post(traces=1, wait_seconds=0.2)
    async with asyncio.timeout(2.5):
        assert await stack.eval_runs.progress(run.id) is None


async def test_an_operator_finds_a_run_and_reads_what_it_is(stack: Stack) -> None:
    async with stack.worker():
        run = await stack.post(traces=1, name="Nightly")
        await stack.handle(run).result()
    described = await stack.handle(run).describe()
    attributes = {pair.key.name: pair.value for pair in described.typed_search_attributes}
    assert attributes["AssayProject"] == str(stack.project_id)
    assert attributes["AssayRunStatus"] == "COMPLETED"
    assert attributes["AssayTargetType"] == "TRACE"
    assert await described.static_summary() == f"Nightly · {', '.join(METRICS)}"
    assert str(run.id) in (await described.static_details() or "")
