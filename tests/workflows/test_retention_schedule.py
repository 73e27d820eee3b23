"""The schedule of sweeps exists while something may expire."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from temporalio.client import ScheduleUpdate

from core import clock
from core.queries import projects
from core.retention import RetentionDays
from core.temporal.retention_schedule import RetentionSchedule
from tests.activities.retention.ages import ids_in, traces_from
from tests.workflows.conftest import Stack
from workflows.maintenance.retention import sync_retention

OLD = clock.now() - timedelta(days=40)


@pytest.fixture
async def schedule(stack: Stack) -> AsyncIterator[RetentionSchedule]:
    made = RetentionSchedule(stack.client, task_queue=stack.task_queue)
    yield made
    await made.remove()


async def test_the_schedule_exists_while_anything_may_expire(
    stack: Stack, schedule: RetentionSchedule
) -> None:
    async def synced(days: RetentionDays) -> bool:
        await sync_retention(stack.database, schedule, days)
        return await schedule.described() is not None

    nothing = RetentionDays()
    assert not await synced(nothing)
    assert await synced(RetentionDays(usage=1))
    assert not await synced(nothing)
    async with stack.database.write() as db:
        await projects.change(db, stack.project_id, {"retention_runs_days": 7})
    assert await synced(nothing)
    async with stack.database.write() as db:
        await projects.change(db, stack.project_id, {"retention_runs_days": 0})
    assert not await synced(nothing)


async def test_a_pause_of_the_schedule_stays_and_other_changes_are_undone(
    stack: Stack, schedule: RetentionSchedule
) -> None:
    await schedule.put()
    handle = stack.client.get_schedule_handle(schedule.id)
    found = (await handle.describe()).schedule
    found.spec.intervals[0].every = timedelta(days=99)
    await handle.update(lambda _: ScheduleUpdate(found))
    await handle.pause(note="not now")

    async def shown() -> tuple[timedelta, bool, str | None]:
        now = (await handle.describe()).schedule
        return now.spec.intervals[0].every, now.state.paused, now.state.note

    # Temporal accepts a change of a schedule before the schedule shows it.
    while await shown() != (timedelta(days=99), True, "not now"):
        await asyncio.sleep(0.05)
    await schedule.put()
    while await shown() != (timedelta(hours=1), True, "not now"):
        await asyncio.sleep(0.05)
    described = await schedule.described()
    assert described is not None
    assert described.paused


async def test_the_schedule_starts_sweeps_and_knows_whether_the_last_failed(
    stack: Stack, schedule: RetentionSchedule, monkeypatch: pytest.MonkeyPatch
) -> None:
    await traces_from(stack.database, stack.project_id, 1, OLD)
    await schedule.put()
    handle = stack.client.get_schedule_handle(schedule.id)
    async with stack.worker(retention_traces_days=30):
        await handle.trigger()
        while await ids_in(stack.database, "trace", stack.project_id):
            await asyncio.sleep(0.05)
        while (await handle.describe()).info.running_actions:
            await asyncio.sleep(0.05)
    described = await schedule.described()
    assert described is not None
    assert not described.last_failed
    await handle.trigger()
    while not (running := (await handle.describe()).info.running_actions):
        await asyncio.sleep(0.05)
    await stack.client.get_workflow_handle(running[0].workflow_id).terminate()  # type: ignore[attr-defined]  # it starts a workflow
    while not (described := await schedule.described()) or not described.last_failed:
        await asyncio.sleep(0.05)
