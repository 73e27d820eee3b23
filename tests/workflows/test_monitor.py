"""A due monitor and its run as a child workflow, with faults in either."""

import asyncio
from typing import Any

import pytest
from temporalio.client import WorkflowFailureError
from temporalio.exceptions import CancelledError

from activities.monitors import Monitors
from activities.payloads import DueMonitor
from core.db.tables import EvalRun
from core.errors import JudgeUnusable
from core.ids import RunStatus
from core.queries import monitor_rows, run_rows
from core.run_spec import OpenRunLimits
from core.settings import Settings
from core.temporal.schedule_sync import ScheduleSync
from core.temporal.schedules import Schedules
from evals.judges.protocol import Question
from tests.factories import make_monitor, store_traces
from tests.workflows.conftest import METRICS, Stack
from tests.workflows.judges import Doors
from tests.workflows.monitoring import Watch, run_id
from workflows.maintenance import schedules as schedules_of_worker
from workflows.maintenance.schedules import syncing_schedules

ROOM = OpenRunLimits(per_project=9, in_all=9)


async def ended(stack: Stack, run: EvalRun) -> EvalRun:
    async with asyncio.timeout(20):
        while not (row := await stack.row(run)).status.terminal:
            await asyncio.sleep(0.05)
    return row


async def test_a_due_monitor_sees_its_run_through(stack: Stack) -> None:
    await store_traces(stack.database, stack.project_id, 3)
    watch = await Watch.over(stack)
    async with stack.worker():
        outcome = await (await watch.start("a")).result()
        row = await watch.run()
    assert (run_id(outcome), row.status, row.evaluated_count) == (row.id, RunStatus.COMPLETED, 3)
    assert outcome.note == f"Run {row.id} COMPLETED: 3 targets evaluated."
    assert len(await stack.scores(row)) == 3 * len(METRICS)


async def test_a_monitors_run_looks_like_one_from_the_api(stack: Stack) -> None:
    await store_traces(stack.database, stack.project_id, 1)
    watch = await Watch.over(stack)
    async with stack.worker():
        await (await watch.start("a")).result()
        posted = await stack.post(traces=0, name="[Monitor] nightly")
        await stack.handle(posted).result()
    by_monitor = await stack.handle(await watch.run()).describe()
    by_api = await stack.handle(posted).describe()
    assert await by_monitor.memo() == await by_api.memo()
    assert await by_monitor.static_summary() == await by_api.static_summary()
    attributes = {p.key.name: p.value for p in by_monitor.typed_search_attributes}
    expected = {p.key.name: p.value for p in by_api.typed_search_attributes}
    assert attributes == expected | {"AssayMonitor": str(watch.monitor.id)}
    assert by_monitor.task_queue == by_api.task_queue


async def test_with_nothing_new_it_says_so_and_opens_nothing(stack: Stack) -> None:
    await store_traces(stack.database, stack.project_id, 1)
    watch = await Watch.over(stack)
    async with stack.worker():
        await (await watch.start("a")).result()
        outcome = await (await watch.start("b")).result()
    assert (outcome.run_id, len(await watch.runs())) == (None, 1)
    assert "has arrived" in outcome.note


async def test_a_run_that_fails_is_not_the_monitors_failure(stack: Stack) -> None:
    await store_traces(stack.database, stack.project_id, 1)
    watch = await Watch.over(stack)

    async def bad_key(question: Question[Any], times: int) -> None:
        raise JudgeUnusable("Incorrect API key provided.", provider="scripted")

    stack.judges.script = bad_key
    async with stack.worker():
        outcome = await (await watch.start("a")).result()
    row = await watch.run()
    assert row.status is RunStatus.FAILED
    assert outcome.note == f"Run {row.id} failed: Incorrect API key provided."


async def test_a_run_cancelled_through_the_api_ends_its_monitor_well(stack: Stack) -> None:
    await store_traces(stack.database, stack.project_id, 1)
    doors = stack.judges.script = Doors()
    watch = await Watch.over(stack)
    async with stack.worker():
        handle = await watch.start("a")
        await doors.reached.wait()
        row = await watch.run()
        async with stack.database.write() as db:
            await run_rows.request_cancel(db, stack.project_id, row.id)
        await stack.eval_runs.cancel(row.id)
        outcome = await handle.result()
        doors.open.set()
    assert run_id(outcome) == row.id
    assert (await watch.run()).error_message == run_rows.CANCELLED


@pytest.mark.parametrize("how", ["cancel", "terminate"])
async def test_ending_a_monitor_by_hand_cancels_its_run(stack: Stack, how: str) -> None:
    await store_traces(stack.database, stack.project_id, 1)
    doors = stack.judges.script = Doors()
    watch = await Watch.over(stack)
    async with stack.worker():
        handle = await watch.start("a")
        await doors.reached.wait()
        await (handle.cancel() if how == "cancel" else handle.terminate())
        with pytest.raises(WorkflowFailureError) as failure:
            await handle.result()
        assert isinstance(failure.value.cause, CancelledError) is (how == "cancel")
        row = await ended(stack, await watch.run())
        doors.open.set()
    assert row.status is RunStatus.FAILED
    assert "Cancelled" in (row.error_message or "")


async def test_a_monitor_deleted_meanwhile_leaves_its_run_to_end_well(stack: Stack) -> None:
    await store_traces(stack.database, stack.project_id, 1)
    doors = stack.judges.script = Doors()
    watch = await Watch.over(stack)
    async with stack.worker():
        handle = await watch.start("a")
        await doors.reached.wait()
        row = await watch.run()
        async with stack.database.write() as db:
            await monitor_rows.remove(db, stack.project_id, watch.monitor.id)
        await watch.clockwork.sync(watch.monitor.id)
        doors.open.set()
        assert run_id(await handle.result()) == row.id
    kept = await stack.row(row)
    assert (kept.status, kept.monitor_id) == (RunStatus.COMPLETED, None)


async def test_a_run_that_a_worker_found_waiting_is_left_to_that_worker(stack: Stack) -> None:
    await store_traces(stack.database, stack.project_id, 1)
    watch = await Watch.over(stack)
    handle = await watch.start("a")
    # The row exists, but the reconciliation starts the run before the monitor does.
    due = DueMonitor(stack.project_id, watch.monitor.id, (await handle.describe()).start_time)
    opening = await Monitors(
        stack.database, default_model="", open_runs=ROOM, quota=Settings().run_quota
    ).open_due_run(due)
    assert opening.run is not None
    await stack.eval_runs.start(opening.run, wait_seconds=0)
    async with stack.worker():
        outcome = await handle.result()
        row = await ended(stack, await watch.run())
    assert outcome.note == f"Run {row.id} was started by a worker that found it waiting."
    assert row.status is RunStatus.COMPLETED


async def test_a_worker_tends_schedules_at_its_start_and_later(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schedules_of_worker, "SYNC_SECONDS", 0.1)
    schedules = Schedules(stack.client, task_queue=stack.task_queue)
    before = await make_monitor(stack.database, stack.project_id)
    async with syncing_schedules(stack.database, ScheduleSync(stack.database, schedules)):
        later = await make_monitor(stack.database, stack.project_id)
        async with asyncio.timeout(20):
            for one in (before, later):
                while await schedules.next_run(one.id) is None:
                    await asyncio.sleep(0.05)
