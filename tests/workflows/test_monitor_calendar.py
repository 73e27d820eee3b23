"""Monitors over simulated time: the real scheduler, worker and store, and a clock that skips.

Time skipping works on the scheduler's own workflow: its timers fire at once, a
second of real time apart, while workflows it starts run in real time.
"""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from itertools import islice, takewhile

import pytest
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import TimeSkippingConfig, WorkflowEnvironment

from core import temporal
from core.database import Database
from tests.calendar import strikes
from tests.conftest import make_project, temporal_binary
from tests.factories import store_traces
from tests.workflows.conftest import Stack
from tests.workflows.judges import Doors, ScriptedJudges
from tests.workflows.monitoring import Watch
from workflows.control import EvalRuns

DAY = timedelta(days=1)


@pytest.fixture(scope="module")
async def skipping() -> AsyncIterator[WorkflowEnvironment]:
    """A Temporal whose machine stands where clocks are changed twice a year."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "America/New_York")
        environment = await WorkflowEnvironment.start_time_skipping_v2(
            # Nothing skips by itself: only what a test fast-forwards.
            ts_config=TimeSkippingConfig(enabled=False),
            data_converter=pydantic_data_converter,
            dev_server_existing_path=temporal_binary(),
            dev_server_extra_args=[
                "--dynamic-config-value",
                "frontend.WorkflowTimeSkippingEnabled=true",
            ],
            search_attributes=list(temporal.SEARCH_ATTRIBUTES),
        )
    async with environment:
        yield environment


@pytest.fixture
async def stack(skipping: WorkflowEnvironment, sqlite: Database, task_queue: str) -> Stack:
    return Stack(
        client=skipping.client,
        database=sqlite,
        project_id=await make_project(sqlite),
        task_queue=task_queue,
        judges=ScriptedJudges(),
        eval_runs=EvalRuns(skipping.client, task_queue=task_queue),
    )


async def forward(skipping: WorkflowEnvironment, watch: Watch, by: timedelta) -> None:
    scheduler = f"temporal-sys-scheduler:eval-monitor-{watch.monitor.id}"
    async with asyncio.timeout(120):
        await skipping.fast_forward(skipping.client.get_workflow_handle(scheduler), by)


async def started(watch: Watch, expected: list[datetime]) -> None:
    """Waits for the list of workflows, which trails behind, and compares."""
    async with asyncio.timeout(20):
        while (moments := await watch.started_for()) != expected and len(moments) <= len(expected):
            await asyncio.sleep(0.1)
    assert await watch.started_for() == expected


def until(cron: str, now: datetime, end: datetime) -> list[datetime]:
    return list(takewhile(lambda moment: moment < end, strikes(cron, now)))


async def test_days_are_run_through_whatever_clocks_do_on_earth(
    skipping: WorkflowEnvironment, stack: Stack
) -> None:
    """Around a change of clocks, at an hour that one of these days lacks or has twice."""
    now = datetime.now(UTC)
    # Clocks change on the second Sunday of March and on the first of November.
    month, first_day, last_day = (3, 7, 15) if now.month != 3 else (11, 1, 8)
    length = last_day - first_day + 1
    cron = f"30 2 {first_day}-{last_day} {month} *"
    await store_traces(stack.database, stack.project_id, 1)
    watch = await Watch.over(stack, cadence=f"cron:{cron}")
    [first] = islice(strikes(cron, now), 1)
    end = first + length * DAY
    async with stack.worker():
        await forward(skipping, watch, end - now)
        days = until(cron, now, end)
        assert len(days) == length
        assert {(moment.hour, moment.minute) for moment in days} == {(2, 30)}
        await started(watch, days)
        # The trace was there on the first day, and nothing has come since.
        [run] = await watch.runs()
        await stack.handle(run).result()
    [following] = islice(strikes(cron, end), 1)
    assert await watch.clockwork.next_runs([watch.monitor]) == {watch.monitor.id: following}


async def test_the_leap_day_comes_in_leap_years_only(
    skipping: WorkflowEnvironment, stack: Stack
) -> None:
    await store_traces(stack.database, stack.project_id, 1)
    watch = await Watch.over(stack, cadence="cron:0 12 29 2 *")
    now = datetime.now(UTC)
    async with stack.worker():
        await forward(skipping, watch, timedelta(days=8 * 365 + 60))
        leap_days = until("0 12 29 2 *", now, now + timedelta(days=8 * 365 + 60))
        assert {moment.year % 4 for moment in leap_days} == {0}
        await started(watch, leap_days)
        await stack.handle(await watch.run()).result()


async def test_days_of_february_run_into_march_without_a_gap(
    skipping: WorkflowEnvironment, stack: Stack
) -> None:
    cron = "0 0 28-29,1 2-3 *"
    watch = await Watch.over(stack, cadence=f"cron:{cron}")
    now = datetime.now(UTC)
    async with stack.worker():
        await forward(skipping, watch, timedelta(days=480))
        await started(watch, until(cron, now, now + timedelta(days=480)))


async def test_what_comes_due_while_a_run_is_going_is_skipped(
    skipping: WorkflowEnvironment, stack: Stack
) -> None:
    await store_traces(stack.database, stack.project_id, 1)
    doors = stack.judges.script = Doors()
    watch = await Watch.over(stack, cadence="daily", only_if_changed=False)
    now = datetime.now(UTC)
    days = list(islice(strikes("0 0 * * *", now), 5))
    async with stack.worker():
        await forward(skipping, watch, days[0] - now + timedelta(minutes=1))
        await doors.reached.wait()
        await forward(skipping, watch, 3 * DAY)
        assert (await watch.schedule.describe()).info.num_actions_skipped_overlap == 3
        assert len(await watch.runs()) == 1
        doors.open.set()
        await stack.handle(await watch.run()).result()
        await started(watch, days[:1])
        await forward(skipping, watch, DAY)
        await started(watch, [days[0], days[4]])
    assert len(await watch.runs()) == 2


async def test_a_pause_lets_days_pass_and_makes_up_for_none(
    skipping: WorkflowEnvironment, stack: Stack
) -> None:
    watch = await Watch.over(stack, cadence="daily")
    now = datetime.now(UTC)
    days = list(islice(strikes("0 0 * * *", now), 5))
    async with stack.worker():
        await watch.turn(paused=True)
        await forward(skipping, watch, days[2] - now + timedelta(minutes=1))
        await watch.turn(paused=False)
        await forward(skipping, watch, 2 * DAY)
        await started(watch, days[3:])
