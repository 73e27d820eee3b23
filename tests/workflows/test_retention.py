"""Sweeps of expired rows: fair and resumable."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from temporalio.client import WorkflowFailureError, WorkflowHandle
from temporalio.common import RetryPolicy
from temporalio.testing import ActivityEnvironment

from activities.retention import sweeping
from activities.retention.sweeping import Retention
from activities.retention.turns import ProjectTurn
from core import clock
from core.db.database import Database, Reader
from core.db.tables import Project
from core.queries import expired_rows
from core.retention import RetentionDays, RetentionKind, SweepOutcome, SweepTurn
from tests.activities.retention.ages import ids_in, run_over, set_columns, traces_from
from tests.conftest import make_project
from tests.workflows.conftest import Stack
from workflows import policies
from workflows.retention import RetentionWorkflow, SweepState

OLD = clock.now() - timedelta(days=40)
MONTH = RetentionDays(traces=30, runs=30)


async def sweep(
    stack: Stack, state: SweepState | None = None
) -> WorkflowHandle[RetentionWorkflow, SweepOutcome]:
    return await stack.client.start_workflow(
        RetentionWorkflow.run,
        state,
        id=f"retention-{uuid4()}",
        task_queue=stack.task_queue,
    )


async def test_a_sweep_deletes_expired_rows_of_every_project(stack: Stack) -> None:
    other = await make_project(stack.database, "other")
    for project_id in (stack.project_id, other):
        ids = [str(one) for one in await traces_from(stack.database, project_id, 3, OLD)]
        await traces_from(stack.database, project_id, 1, clock.now())
        await run_over(stack.database, project_id, ids, ended=OLD)
    async with stack.worker(retention_traces_days=30, retention_runs_days=30):
        handle = await sweep(stack)
        assert (await handle.result()).deleted == {"traces": 6, "runs": 2}
        assert await handle.query(RetentionWorkflow.progress) == {"traces": 6, "runs": 2}
    for project_id in (stack.project_id, other):
        assert len(await ids_in(stack.database, "trace", project_id)) == 1
        assert await ids_in(stack.database, "eval_run", project_id) == set()


async def test_without_settings_a_sweep_deletes_nothing(stack: Stack) -> None:
    await traces_from(stack.database, stack.project_id, 2, OLD)
    async with stack.worker():
        assert (await (await sweep(stack)).result()).deleted == {}
    assert len(await ids_in(stack.database, "trace", stack.project_id)) == 2


@pytest.fixture
def turns(monkeypatch: pytest.MonkeyPatch) -> list[UUID]:
    """The projects of the turns so far. A turn deletes only a trace or two."""
    taken: list[UUID] = []
    real = ProjectTurn.__init__

    def init(self: ProjectTurn, database: Database, project: object, *more: object) -> None:
        taken.append(project.id)  # type: ignore[attr-defined]  # the row of a project
        real(self, database, project, *more)  # type: ignore[arg-type]  # passed through

    monkeypatch.setattr(ProjectTurn, "__init__", init)
    monkeypatch.setattr(sweeping, "TURN_SECONDS", 0.0)
    monkeypatch.setattr("activities.retention.write_pace.MIN_ROWS", 1)
    monkeypatch.setattr("activities.retention.write_pace.MAX_ROWS", 1)
    return taken


async def test_a_project_with_many_expired_rows_does_not_delay_another(
    stack: Stack, turns: list[UUID]
) -> None:
    other = await make_project(stack.database, "other")
    counts = {stack.project_id: 8, other: 2}
    for project_id, count in counts.items():
        await traces_from(stack.database, project_id, count, OLD)
    async with stack.worker(retention_traces_days=30):
        handle = await sweep(stack, SweepState(turns_per_execution=3))
        assert (await handle.result()).deleted == {"traces": 10}
    assert set(turns[:2]) == set(turns[2:4]) == {stack.project_id, other}
    assert turns.count(other) <= 3
    first = await handle.describe()
    assert first.run_id != handle.first_execution_run_id, "it continued as new"


async def test_a_long_sweep_finds_projects_whose_rows_expire_meanwhile(
    stack: Stack, turns: list[UUID], monkeypatch: pytest.MonkeyPatch
) -> None:
    other = await make_project(stack.database, "other")
    await traces_from(stack.database, stack.project_id, 8, OLD)
    young = await traces_from(stack.database, other, 1, clock.now())
    real = ProjectTurn.delete

    async def delete(self: ProjectTurn, *args: object) -> object:
        if len(turns) == 2:
            await set_columns(stack.database, "trace", young, ingested_at=OLD)
        return await real(self, *args)  # type: ignore[arg-type]  # passed through

    monkeypatch.setattr(ProjectTurn, "delete", delete)
    async with stack.worker(retention_traces_days=30):
        handle = await sweep(stack, SweepState(turns_per_execution=3, look_again_seconds=0.0))
        assert (await handle.result()).deleted == {"traces": 9}
    assert turns.index(other) == 2, "the turn after the rows expired"
    assert turns.count(stack.project_id) <= 9, "a project that waits gets no turns besides"


async def test_an_hour_passes_before_a_sweep_looks_again(
    stack: Stack, turns: list[UUID], monkeypatch: pytest.MonkeyPatch
) -> None:
    await traces_from(stack.database, stack.project_id, 4, OLD)
    looks: list[UUID | None] = []
    real = expired_rows.projects_after

    async def projects_after(db: Reader, days: RetentionDays, **page: Any) -> Sequence[Project]:
        looks.append(page["after"])
        return await real(db, days, **page)

    monkeypatch.setattr(expired_rows, "projects_after", projects_after)
    async with stack.worker(retention_traces_days=30):
        await (await sweep(stack, SweepState(turns_per_execution=2))).result()
    assert len(turns) >= 4
    assert looks == [None]


async def test_a_backlog_of_traces_does_not_delay_the_other_rows_of_its_project(
    stack: Stack, turns: list[UUID]
) -> None:
    await traces_from(stack.database, stack.project_id, 8, OLD)
    run = await run_over(stack.database, stack.project_id, [], ended=OLD)
    retention = Retention(stack.database, MONTH)
    swept = await ActivityEnvironment().run(retention.delete_expired, SweepTurn(stack.project_id))
    assert swept.deleted == {"traces": 1, "runs": 1}
    assert swept.place is not None
    assert swept.place.kind is RetentionKind.TRACES, "the next turn continues with the traces"
    assert run.id not in await ids_in(stack.database, "eval_run", stack.project_id)


async def test_one_sweep_deletes_a_run_that_takes_many_turns(
    stack: Stack, turns: list[UUID]
) -> None:
    young = await traces_from(stack.database, stack.project_id, 5, clock.now())
    for _ in range(2):
        ids = [str(one) for one in young]
        await run_over(stack.database, stack.project_id, ids, ended=OLD)
    async with stack.worker(retention_runs_days=30):
        assert (await (await sweep(stack)).result()).deleted == {"runs": 2}
    assert len(turns) > 10
    assert await ids_in(stack.database, "eval_run", stack.project_id) == set()


@pytest.mark.parametrize("page_size", [2, 5_000])
async def test_a_sweep_passes_traces_that_must_stay(
    stack: Stack, turns: list[UUID], monkeypatch: pytest.MonkeyPatch, page_size: int
) -> None:
    monkeypatch.setattr("activities.retention.trace_sweep.PAGE_SIZE", page_size)
    needed = await traces_from(stack.database, stack.project_id, 4, OLD - timedelta(days=1))
    await traces_from(stack.database, stack.project_id, 3, OLD)
    await run_over(stack.database, stack.project_id, [str(one) for one in needed], ended=None)
    async with stack.worker(retention_traces_days=30):
        assert (await (await sweep(stack)).result()).deleted == {"traces": 3}
    assert await ids_in(stack.database, "trace", stack.project_id) == set(needed)


async def test_a_sweep_goes_on_after_its_worker_was_killed(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    await traces_from(stack.database, stack.project_id, 5, OLD)
    monkeypatch.setattr("activities.retention.write_pace.MIN_ROWS", 1)
    monkeypatch.setattr("activities.retention.write_pace.MAX_ROWS", 1)
    reached, stays = asyncio.Event(), asyncio.Event()
    real = ProjectTurn.delete
    monkeypatch.setitem(policies.SWEEPING, "heartbeat_timeout", timedelta(seconds=1))

    async def dies(self: ProjectTurn, days: RetentionDays, goes_on: object) -> object:
        """Deletes two traces, and is not heard of again."""
        if reached.is_set():
            return await real(self, days, goes_on)  # type: ignore[arg-type]  # passed through
        left = iter([True, False])
        await real(self, days, lambda: next(left))
        reached.set()
        await stays.wait()
        raise AssertionError("unreachable")

    monkeypatch.setattr(ProjectTurn, "delete", dies)
    async with stack.worker(retention_traces_days=30):
        handle = await sweep(stack)
        await reached.wait()
        assert len(await ids_in(stack.database, "trace", stack.project_id)) == 3
        await handle.result()
    assert await ids_in(stack.database, "trace", stack.project_id) == set()


async def test_a_stopping_worker_ends_its_turn_after_the_open_transaction(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeping, "TURN_SECONDS", 3600.0)
    monkeypatch.setattr("activities.retention.write_pace.MIN_ROWS", 1)
    monkeypatch.setattr("activities.retention.write_pace.MAX_ROWS", 1)
    # A pause after each trace that is longer than the worker takes to stop without it.
    monkeypatch.setattr("activities.retention.write_pace.MAX_SHARE", 1e-9)
    await traces_from(stack.database, stack.project_id, 20, OLD)
    monkeypatch.setattr("activities.retention.write_pace.MAX_PAUSE_SECONDS", 0.5)
    async with stack.worker(retention_traces_days=30):
        handle = await sweep(stack)
        while len(await ids_in(stack.database, "trace", stack.project_id)) == 20:
            await asyncio.sleep(0.01)
    left = len(await ids_in(stack.database, "trace", stack.project_id))
    assert 10 < left < 20, "the turn would have gone on for ten seconds"
    monkeypatch.setattr("activities.retention.write_pace.MAX_PAUSE_SECONDS", 0.0)
    async with stack.worker(retention_traces_days=30):
        assert (await handle.result()).deleted["traces"] == 20


async def test_a_project_that_fails_leaves_the_others_their_turn(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = await make_project(stack.database, "other")
    for project_id in (stack.project_id, other):
        await traces_from(stack.database, project_id, 1, OLD)
    monkeypatch.setitem(policies.SWEEPING, "retry_policy", RetryPolicy(maximum_attempts=1))
    real = ProjectTurn.delete

    async def delete(self: ProjectTurn, *args: object) -> object:
        if self._project_id == stack.project_id:
            raise RuntimeError("broken")
        return await real(self, *args)  # type: ignore[arg-type]  # passed through

    monkeypatch.setattr(ProjectTurn, "delete", delete)
    async with stack.worker(retention_traces_days=30):
        handle = await sweep(stack)
        with pytest.raises(WorkflowFailureError):
            await handle.result()
    assert await ids_in(stack.database, "trace", other) == set()
    assert len(await ids_in(stack.database, "trace", stack.project_id)) == 1
