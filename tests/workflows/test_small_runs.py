"""Many runs of one pair end in order, for any number of concurrent posts."""

import asyncio

from core.ids import RunStatus
from core.queries import open_runs, run_admission, run_rows
from core.run_spec import OpenRunLimits
from tests.factories import new_run, store_traces
from tests.workflows.conftest import Stack
from tests.workflows.judges import Doors
from workflows.maintenance.admission import RunAdmission

RUNS = 40
LIMITS = OpenRunLimits(per_project=4, in_all=6)


async def test_runs_that_wait_as_rows_all_end_in_the_order_they_were_posted(stack: Stack) -> None:
    await store_traces(stack.database, stack.project_id, 1)
    admission = RunAdmission(stack.database, stack.eval_runs, LIMITS)
    ids = []
    for _ in range(RUNS):
        async with stack.database.write() as db:
            made = new_run(stack.project_id, metric_names=["step_efficiency"], model="scripted/j")
            ids.append((await run_rows.create(db, made)).id)
    async with stack.worker(), admission.running():
        async with asyncio.timeout(60):
            while True:
                async with stack.database.read() as db:
                    rows = [await run_rows.get(db, stack.project_id, run_id) for run_id in ids]
                    assert await open_runs.count_open(db, stack.project_id) <= LIMITS.per_project
                    waiting = await run_admission.any_waiting(db)
                if not waiting and all(row.status.terminal for row in rows):
                    break
                admission.wake()
                await asyncio.sleep(0.1)
    assert {row.status for row in rows} == {RunStatus.COMPLETED}
    begun = [row.admitted_at for row in rows if row.admitted_at]
    assert begun == sorted(begun)
    # The trace was judged once; every later run found the stored answer.
    assert stack.judges.asked.total() == 1


async def test_a_small_run_needs_no_batch_and_few_events(stack: Stack) -> None:
    async with stack.worker():
        run = await stack.post(traces=1, metric_names=["step_efficiency"])
        await stack.handle(run).result()
    history = await stack.handle(run).fetch_history()
    assert not any(
        event.HasField("start_child_workflow_execution_initiated_event_attributes")
        or event.HasField("timer_started_event_attributes")
        for event in history.events
    )
    assert len(history.events) <= 30


async def test_a_run_started_with_its_pair_takes_one_activity_and_two_workflow_tasks(
    stack: Stack,
) -> None:
    async with stack.worker():
        run = await stack.post(traces=1, metric_names=["step_efficiency"], with_pairs=True)
        assert (await stack.row(run)).total_targets == 1, "known before a worker has begun"
        await stack.handle(run).result()
    history = await stack.handle(run).fetch_history()
    scheduled = [
        event.activity_task_scheduled_event_attributes.activity_type.name
        for event in history.events
        if event.HasField("activity_task_scheduled_event_attributes")
    ]
    tasks = [e for e in history.events if e.HasField("workflow_task_started_event_attributes")]
    assert scheduled == ["judge_pair"]
    assert len(tasks) == 2
    assert (await stack.row(run)).status is RunStatus.COMPLETED


async def test_a_run_started_with_its_pairs_is_running_from_its_first_judge_call(
    stack: Stack,
) -> None:
    doors = stack.judges.script = Doors()
    async with stack.worker():
        run = await stack.post(traces=1, metric_names=["step_efficiency"], with_pairs=True)
        assert (await stack.row(run)).status is RunStatus.PENDING
        await doors.reached.wait()
        async with asyncio.timeout(5):
            while (await stack.row(run)).status is not RunStatus.RUNNING:
                await asyncio.sleep(0.02)
        doors.open.set()
        await stack.handle(run).result()
    assert (await stack.row(run)).status is RunStatus.COMPLETED
