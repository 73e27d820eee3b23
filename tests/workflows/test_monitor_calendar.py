"""Monitors over simulated time: the real scheduler, worker and database, with a skipping clock.

Time skipping works on the scheduler's workflow: its timers fire at once, a second of real time
apart, while the workflows that it starts run in real time.
"""

import asyncio
from datetime import UTC, datetime, timedelta
from itertools import islice, takewhile

import pytest
from temporalio.testing import WorkflowEnvironment

from core.queries import monitor_rows
from core.temporal.schedules import MAX_JITTER
from tests.calendar import strikes
from tests.factories import store_traces
from tests.workflows.conftest import Stack
from tests.workflows.judges import Doors
from tests.workflows.monitoring import Watch

DAY = timedelta(days=1)

pytestmark = pytest.mark.slow


@pytest.fixture
def stack(skipping_stack: Stack) -> Stack:
    return skipping_stack


async def forward(skipping: WorkflowEnvironment, watch: Watch, by: timedelta) -> None:
    scheduler = f"temporal-sys-scheduler:eval-monitor-{watch.monitor.id}"
    async with asyncio.timeout(120):
        await skipping.fast_forward(skipping.client.get_workflow_handle(scheduler), by)


async def started(watch: Watch, expected: list[datetime]) -> None:
    """Waits for the list of workflows, which is delayed, and compares."""
    async with asyncio.timeout(120):
        while (moments := await watch.started_for()) != expected and len(moments) <= len(expected):
            await asyncio.sleep(0.1)
    assert await watch.started_for() == expected


def until(cron: str, now: datetime, end: datetime) -> list[datetime]:
    return list(takewhile(lambda moment: moment < end, strikes(cron, now)))


async def test_days_are_run_through_whatever_clocks_do_on_earth(
    skipping: WorkflowEnvironment, stack: Stack
) -> None:
    """Around a change of clocks, at an hour that one of these days lacks or repeats."""
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
        # The trace existed on the first day, and no further trace arrived.
        [run] = await watch.runs()
        await stack.handle(run).result()
    [following] = islice(strikes(cron, end), 1)
    [(_, at)] = await watch.clockwork.upcoming([watch.monitor])
    assert at == following


async def test_the_leap_day_comes_in_leap_years_only(
    skipping: WorkflowEnvironment, stack: Stack
) -> None:
    await store_traces(stack.database, stack.project_id, 1)
    watch = await Watch.over(stack, cadence="cron:0 12 29 2 *")
    now = datetime.now(UTC)
    async with stack.worker():
        await forward(skipping, watch, timedelta(days=4 * 365 + 60))
        leap_days = until("0 12 29 2 *", now, now + timedelta(days=4 * 365 + 60))
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
        await forward(skipping, watch, days[0] - now + MAX_JITTER)
        await doors.reached.wait()
        await forward(skipping, watch, 3 * DAY)
        async with stack.database.read() as db:
            row = await monitor_rows.get(db, stack.project_id, watch.monitor.id)
        [(shown, _)] = await watch.clockwork.upcoming([row])
        assert (shown.skipped_by_outage, shown.skipped_by_overlap) == (0, 3)
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
        await forward(skipping, watch, days[2] - now + MAX_JITTER)
        await watch.turn(paused=False)
        await forward(skipping, watch, 2 * DAY)
        await started(watch, days[3:])
