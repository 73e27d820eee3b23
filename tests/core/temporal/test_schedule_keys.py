"""A schedule goes on after the codec's key has changed and the old key was removed."""

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import cast

import pytest
from temporalio import workflow
from temporalio.api.common.v1 import Memo
from temporalio.client import Client, ScheduleDescription, ScheduleHandle
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from core.temporal.client import MONITOR_WORKFLOW, RETENTION_WORKFLOW
from core.temporal.keyring_codec import KEY_ID, KeyringCodec
from core.temporal.payload_codec import data_converter
from core.temporal.retention_schedule import RetentionSchedule
from core.temporal.schedule_keys import is_idle, is_outdated, made_with
from core.temporal.schedules import MonitorRef, Schedules
from tests.core.temporal.test_schedules import clock_of

OLD, NEW = (f"{name}:{b64encode(32 * name[:1].encode()).decode()}" for name in ("old", "new"))


@workflow.defn(name=MONITOR_WORKFLOW)
class Due:
    """In place of a monitor's run."""

    @workflow.run
    async def run(self, monitor: MonitorRef) -> str:
        return f"of {monitor.monitor_id}"


@workflow.defn(name=RETENTION_WORKFLOW)
class Sweep:
    @workflow.run
    async def run(self) -> str:
        return "swept"


def with_keys(client: Client, keys: str) -> Client:
    config = client.config()
    config["data_converter"] = data_converter(KeyringCodec(keys))
    return Client(**config)


@asynccontextmanager
async def working(client: Client, task_queue: str) -> AsyncIterator[None]:
    async with Worker(
        client,
        task_queue=task_queue,
        workflows=[Due, Sweep],
        workflow_runner=UnsandboxedWorkflowRunner(),
    ):
        yield


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(20):
        while not await holds():
            await asyncio.sleep(0.05)


async def start(handle: ScheduleHandle) -> str:
    """The id of the workflow that the schedule starts by hand."""
    before = (await handle.describe()).info.num_actions
    await handle.trigger()

    async def has_started() -> bool:
        return (await handle.describe()).info.num_actions > before

    await until(has_started)
    action = (await handle.describe()).info.recent_actions[-1].action
    return cast(str, action.workflow_id)  # type: ignore[attr-defined]  # it starts a workflow


async def run_to_the_end(client: Client, handle: ScheduleHandle) -> None:
    workflow_id = await start(handle)
    async with asyncio.timeout(20):
        await client.get_workflow_handle(workflow_id).result()

    async def is_known() -> bool:
        return not (await handle.describe()).info.running_actions

    await until(is_known)


@pytest.mark.slow
async def test_a_monitor_runs_after_the_key_of_its_last_run_was_removed(
    temporal_client: Client, task_queue: str
) -> None:
    monitor = clock_of(cadence="cron:0 0 1 1 *")
    handle = temporal_client.get_schedule_handle(f"eval-monitor-{monitor.monitor_id}")
    before = with_keys(temporal_client, OLD)
    await Schedules(before, task_queue=task_queue).put(monitor)
    async with working(before, task_queue):
        await run_to_the_end(before, handle)
    rotated = Schedules(with_keys(temporal_client, f"{NEW},{OLD}"), task_queue=task_queue)
    await rotated.put(monitor)
    after = with_keys(temporal_client, NEW)
    async with working(after, task_queue):
        await run_to_the_end(after, handle)
    await rotated.remove(monitor.monitor_id)


@pytest.mark.slow
async def test_a_schedule_whose_run_is_open_is_made_again_after_the_run(
    temporal_client: Client, task_queue: str
) -> None:
    """A new schedule would not know the open run, and start another beside it."""
    monitor = clock_of(cadence="cron:0 0 1 1 *")
    handle = temporal_client.get_schedule_handle(f"eval-monitor-{monitor.monitor_id}")
    await Schedules(with_keys(temporal_client, OLD), task_queue=task_queue).put(monitor)
    workflow_id = await start(handle)  # without a worker
    both = with_keys(temporal_client, f"{NEW},{OLD}")
    rotated = Schedules(both, task_queue=task_queue)
    await rotated.put(monitor)
    described = await handle.describe()
    assert described.info.running_actions
    action = described.raw_description.schedule.action.start_workflow
    assert action.input.payloads[0].metadata[KEY_ID] == b"new"

    async def is_stale() -> bool:
        found = (await rotated.listed()).get(monitor.monitor_id)
        return found is not None and found.note == monitor.note and not found.matches(monitor)

    await until(is_stale)
    async with working(both, task_queue):
        await both.get_workflow_handle(workflow_id).result()

    async def is_made_again() -> bool:
        await rotated.put(monitor)
        return not is_outdated((await handle.describe()).raw_description.memo, "new")

    await until(is_made_again)
    assert (await handle.describe()).info.num_actions == 0
    await rotated.remove(monitor.monitor_id)


@pytest.mark.slow
async def test_a_paused_sweep_goes_on_after_the_key_of_the_last_one_was_removed(
    temporal_client: Client, task_queue: str
) -> None:
    before = with_keys(temporal_client, OLD)
    await RetentionSchedule(before, task_queue=task_queue).put()
    handle = temporal_client.get_schedule_handle(f"retention-{task_queue}")
    async with working(before, task_queue):
        await run_to_the_end(before, handle)
    await handle.pause(note="not now")
    rotated = RetentionSchedule(with_keys(temporal_client, f"{NEW},{OLD}"), task_queue=task_queue)

    async def is_paused_and_made_again() -> bool:
        await rotated.put()
        described = await handle.describe()
        state, memo = described.schedule.state, described.raw_description.memo
        return (state.paused, state.note) == (True, "not now") and not is_outdated(memo, "new")

    await until(is_paused_and_made_again)
    await handle.unpause()
    after = with_keys(temporal_client, NEW)
    async with working(after, task_queue):
        await run_to_the_end(after, handle)
    await rotated.remove()


def test_a_due_time_that_waits_for_its_jitter_is_not_lost() -> None:
    now, jitter = datetime.now(UTC), timedelta(minutes=10)

    def idle(*following: timedelta, running: int = 0) -> bool:
        info = SimpleNamespace(
            running_actions=[None] * running, next_action_times=[now + one for one in following]
        )
        return is_idle(cast(ScheduleDescription, SimpleNamespace(info=info)), now, jitter)

    assert idle()
    assert idle(timedelta(minutes=11))
    assert not idle(timedelta(minutes=9), timedelta(days=1))
    assert not idle(timedelta(minutes=11), running=1)


def test_without_a_codec_no_schedule_is_outdated() -> None:
    assert not is_outdated(Memo(), "")
    assert is_outdated(Memo(), "new")
    assert not is_outdated(Memo(fields=made_with("new")), "new")
    assert is_outdated(Memo(fields=made_with("old")), "new")
