"""Runs that are cancelled or deleted, and traces that are deleted during a run."""

from uuid import UUID

import pytest
from temporalio.client import WorkflowExecutionStatus, WorkflowFailureError

from activities.judging import run_guard
from core.db.tables import EvalRun
from core.ids import RunStatus
from core.queries import run_pairs, run_rows, trace_edits
from tests.conftest import make_project
from tests.factories import store_traces
from tests.workflows.conftest import Stack
from tests.workflows.judges import Doors


async def test_cancelling_stops_judging_at_the_next_call(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_guard, "CHECK_SECONDS", 0.0)
    doors = stack.judges.script = Doors()
    async with stack.worker(judge_concurrency=3):
        run = await stack.post(traces=20)
        await doors.reached.wait()
        async with stack.database.write() as db:
            await run_rows.request_cancel(db, stack.project_id, run.id)
        await stack.eval_runs.cancel(run.id)
        with pytest.raises(WorkflowFailureError):
            await stack.handle(run).result()
        doors.open.set()
    row = await stack.row(run)
    assert row.status is RunStatus.FAILED
    assert "Cancelled" in (row.error_message or "")
    # A pair that had passed its check when the run was cancelled may ask; it holds one of the six
    # slots that a worker has for three calls.
    assert 1 <= stack.judges.asked.total() <= 6
    assert await stack.scores(run) == []
    described = await stack.handle(run).describe()
    assert described.status is WorkflowExecutionStatus.CANCELED


async def test_a_cancel_that_never_reached_temporal_ends_the_run_all_the_same(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_guard, "CHECK_SECONDS", 0.0)
    doors = stack.judges.script = Doors()
    async with stack.worker():
        run = await stack.post(traces=10)
        await doors.reached.wait()
        async with stack.database.write() as db:
            await run_rows.request_cancel(db, stack.project_id, run.id)
        doors.open.set()
        result = await stack.handle(run).result()
    row = await stack.row(run)
    assert (row.status, row.error_message) == (RunStatus.FAILED, run_rows.CANCELLED)
    assert (result.status, result.error_message) == (RunStatus.FAILED, run_rows.CANCELLED)
    assert await stack.scores(run) == []


async def test_a_run_cancelled_while_no_worker_is_up_ends_when_one_comes(stack: Stack) -> None:
    run = await stack.post(traces=2, wait_seconds=0.2)
    async with stack.database.write() as db:
        await run_rows.request_cancel(db, stack.project_id, run.id)
    await stack.eval_runs.cancel(run.id)
    async with stack.worker():
        with pytest.raises(WorkflowFailureError):
            await stack.handle(run).result()
    assert (await stack.row(run)).status is RunStatus.FAILED
    assert stack.judges.asked.total() == 0


async def test_a_run_deleted_while_it_judges_leaves_no_score(stack: Stack) -> None:
    doors = stack.judges.script = Doors()
    async with stack.worker():
        run = await stack.post(traces=2)
        await doors.reached.wait()
        async with stack.database.write() as db:
            await run_rows.remove(db, stack.project_id, run.id, delete_scores=True)
        doors.open.set()
        await stack.handle(run).result()
    assert await stack.scores(run) == []


async def test_a_trace_deleted_before_it_was_judged_is_no_longer_part_of_the_run(
    stack: Stack,
) -> None:
    async with stack.worker():
        other = await make_project(stack.database, "other")
        [foreign] = await store_traces(stack.database, other, 1)
        [mine] = await store_traces(stack.database, stack.project_id, 1)
        ids = [str(foreign), str(mine)]
        run = await stack.post(traces=0, filters={"trace_ids": ids})
        await stack.handle(run).result()
    row = await stack.row(run)
    assert (row.status, row.total_targets, row.failed_count) == (RunStatus.COMPLETED, 1, 0)
    assert {score.target_id for score in await stack.scores(run)} == {str(mine)}


async def test_a_trace_deleted_while_it_is_judged_leaves_no_score(stack: Stack) -> None:
    doors = stack.judges.script = Doors()
    async with stack.worker():
        run = await stack.post(traces=1)
        await doors.reached.wait()
        async with stack.database.write() as db:
            ids = [UUID(target) for target in await targets(stack, run)]
            await trace_edits.remove(db, stack.project_id, ids)
        doors.open.set()
        await stack.handle(run).result()
    row = await stack.row(run)
    assert (row.status, row.total_targets) == (RunStatus.COMPLETED, 0)
    assert await stack.scores(run) == []


async def targets(stack: Stack, run: EvalRun) -> list[str]:
    async with stack.database.read() as db:
        row = await run_rows.get(db, stack.project_id, run.id)
        listed = await run_pairs.of_targets(db, stack.project_id, row, first=0, last=99)
        return [target.target_id for target in listed]
