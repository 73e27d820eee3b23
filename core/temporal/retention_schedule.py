"""The schedule that deletes expired rows, one per installation."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionExecutionStartWorkflow,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleDescription,
    ScheduleHandle,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleSpec,
    ScheduleState,
    ScheduleUpdate,
    ScheduleUpdateInput,
    WorkflowExecutionStatus,
)
from temporalio.service import RPCError, RPCStatusCode

from core import clock
from core.temporal.client import REACH_SECONDS, RETENTION_WORKFLOW, unavailable
from core.temporal.schedule_keys import current_key, is_idle, is_outdated, made_with

SWEEP_EVERY: Final = timedelta(hours=1)
MAX_SWEEP_JITTER: Final = timedelta(minutes=5)
"""Several installations may share a Temporal."""

_NOTE: Final = (
    "Deletes traces, runs, judgements and usage past their age, as the settings and projects say. "
    "A pause counts until somebody resumes the schedule; other changes are undone."
)
_FAILED: Final = (
    WorkflowExecutionStatus.FAILED,
    WorkflowExecutionStatus.TERMINATED,
    WorkflowExecutionStatus.TIMED_OUT,
)


@dataclass(frozen=True, slots=True)
class DescribedSweeps:
    """`last_failed`: the last sweep that has ended failed, or ended from outside."""

    paused: bool
    last_failed: bool


class RetentionSchedule:
    def __init__(self, client: Client, *, task_queue: str) -> None:
        self._client = client
        self._task_queue = task_queue
        self.id = f"retention-{task_queue}"

    async def put(self) -> None:
        """Creates the schedule, or restores its times; a pause stays. Raises Unavailable."""
        key_id = await current_key(self._client, self.id)
        with unavailable():
            async with asyncio.timeout(REACH_SECONDS):
                try:
                    await self._create(ScheduleState(note=_NOTE), key_id)
                except ScheduleAlreadyRunningError:
                    await self._restore(key_id)

    async def _create(self, state: ScheduleState, key_id: str) -> None:
        await self._client.create_schedule(self.id, self._schedule(state), memo=made_with(key_id))

    async def remove(self) -> None:
        """Deletes the schedule if it exists; an open sweep goes on. Raises Unavailable."""
        try:
            with unavailable(besides=RPCStatusCode.NOT_FOUND):
                await self._handle().delete(rpc_timeout=timedelta(seconds=REACH_SECONDS))
        except RPCError:
            return

    async def described(self) -> DescribedSweeps | None:
        """None for a missing schedule. Raises Unavailable."""
        found = await self._found()
        if found is None:
            return None
        return DescribedSweeps(found.schedule.state.paused, await self._last_failed(found))

    async def _restore(self, key_id: str) -> None:
        found = await self._found()
        if found is None:
            return  # The next round creates it.
        outdated = is_outdated(found.raw_description.memo, key_id)
        if outdated and is_idle(found, clock.now(), timedelta()):
            await self._handle().delete()
            await self._create(found.schedule.state, key_id)
            return
        spec = _spec()
        now = found.schedule.spec
        if (now.intervals, now.calendars, now.jitter) == (spec.intervals, [], spec.jitter):
            return

        def restored(update: ScheduleUpdateInput) -> ScheduleUpdate:
            return ScheduleUpdate(self._schedule(update.description.schedule.state))

        await self._handle().update(restored)

    async def _found(self) -> ScheduleDescription | None:
        try:
            with unavailable(besides=RPCStatusCode.NOT_FOUND):
                return await self._handle().describe(rpc_timeout=timedelta(seconds=REACH_SECONDS))
        except RPCError:
            return None

    async def _last_failed(self, found: ScheduleDescription) -> bool:
        for result in reversed(found.info.recent_actions):
            action = result.action
            if not isinstance(action, ScheduleActionExecutionStartWorkflow):
                continue
            try:
                with unavailable(besides=RPCStatusCode.NOT_FOUND):
                    sweep = await self._client.get_workflow_handle(action.workflow_id).describe(
                        rpc_timeout=timedelta(seconds=REACH_SECONDS)
                    )
            except RPCError:
                return False  # Temporal has deleted its history.
            if sweep.status is not WorkflowExecutionStatus.RUNNING:
                return sweep.status in _FAILED
        return False

    def _handle(self) -> ScheduleHandle:
        return self._client.get_schedule_handle(self.id)

    def _schedule(self, state: ScheduleState) -> Schedule:
        return Schedule(
            action=ScheduleActionStartWorkflow(
                RETENTION_WORKFLOW,
                id=self.id,
                task_queue=self._task_queue,
                static_summary="Deletion of rows past their age",
            ),
            spec=_spec(),
            policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP, catchup_window=SWEEP_EVERY),
            state=state,
        )


def _spec() -> ScheduleSpec:
    return ScheduleSpec(
        intervals=[ScheduleIntervalSpec(every=SWEEP_EVERY)], jitter=MAX_SWEEP_JITTER
    )
