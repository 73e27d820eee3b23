"""Temporal's side of monitors: one Schedule each."""

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Final, Self
from uuid import UUID

from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleHandle,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleSpec,
    ScheduleState,
    ScheduleUpdate,
    ScheduleUpdateInput,
)
from temporalio.common import Priority, SearchAttributePair, TypedSearchAttributes
from temporalio.service import RPCError, RPCStatusCode

from core import jsontext
from core.cadence import cron_of
from core.ids import MonitorStatus, TargetType
from core.temporal import (
    MONITOR,
    MONITOR_WORKFLOW,
    PROJECT,
    REACH_SECONDS,
    TARGET_TYPE,
    schedule_id,
    unavailable,
)

if TYPE_CHECKING:
    from core.tables import EvalMonitor

CATCH_UP: Final = timedelta(hours=1)
"""What came due while Temporal was away is made up for if it is no older."""

_ID_PREFIX: Final = "eval-monitor-"


@dataclass(frozen=True)
class MonitorRef:
    """All that a schedule tells its workflow: the rest is read from the row when it is due."""

    project_id: UUID
    monitor_id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class MonitorClock:
    """What the schedule of a monitor must know of its row."""

    monitor_id: UUID
    project_id: UUID
    target_type: TargetType
    name: str
    cadence: str
    paused: bool
    revision: int

    @classmethod
    def of(cls, row: "EvalMonitor") -> Self:
        return cls(
            monitor_id=row.id,
            project_id=row.project_id,
            target_type=row.target_type,
            name=row.name,
            cadence=row.cadence,
            paused=row.status is MonitorStatus.PAUSED,
            revision=row.revision,
        )

    @property
    def note(self) -> str:
        """What the schedule says of itself. It ends in a hash of all that it was told."""
        facts = [self.project_id, self.target_type, self.name, self.cadence, self.paused]
        digest = sha256(jsontext.canonical([str(fact) for fact in facts])).hexdigest()[:16]
        return f"{self.cadence}, kept by Assay as {digest}"


@dataclass(frozen=True, slots=True)
class Seen:
    """A schedule as Temporal lists it."""

    note: str | None
    paused: bool

    def shows(self, clock: MonitorClock) -> bool:
        return self.note == clock.note and self.paused == clock.paused


class Schedules:
    """The schedules of one Assay: those whose workflows go to its task queue."""

    def __init__(self, client: Client, *, task_queue: str) -> None:
        self._client = client
        self._task_queue = task_queue

    async def put(self, clock: MonitorClock) -> None:
        """Makes the schedule, or replaces all of one that is there. Raises Unavailable."""
        schedule = self._schedule(clock)

        def replaced(_: ScheduleUpdateInput) -> ScheduleUpdate:
            # All of it: the server keeps cron text as calendars, and would keep the old ones too.
            return ScheduleUpdate(schedule)

        with unavailable():
            async with asyncio.timeout(REACH_SECONDS):
                try:
                    await self._client.create_schedule(
                        schedule_id(clock.monitor_id),
                        schedule,
                        memo={"task_queue": self._task_queue},
                        search_attributes=_attributes(clock),
                    )
                except ScheduleAlreadyRunningError:
                    await self._handle(clock.monitor_id).update(replaced)

    async def remove(self, monitor_id: UUID) -> None:
        """One that is not there is fine. Raises Unavailable."""
        try:
            with unavailable(besides=RPCStatusCode.NOT_FOUND):
                await self._handle(monitor_id).delete(rpc_timeout=timedelta(seconds=REACH_SECONDS))
        except RPCError:
            return

    async def next_run(self, monitor_id: UUID) -> datetime | None:
        """When Temporal will start it next; None while it will not. Raises Unavailable."""
        try:
            with unavailable(besides=RPCStatusCode.NOT_FOUND):
                described = await self._handle(monitor_id).describe(
                    rpc_timeout=timedelta(seconds=REACH_SECONDS)
                )
        except RPCError:
            return None
        # A paused schedule goes on naming times, at which it will do nothing.
        if described.schedule.state.paused:
            return None
        return next(iter(described.info.next_action_times), None)

    async def listed(self) -> dict[UUID, Seen]:
        """Every schedule of this Assay; one made just now may be missing. Raises Unavailable."""
        found: dict[UUID, Seen] = {}
        with unavailable():
            async for entry in await self._client.list_schedules():
                monitor_id = _monitor_id(entry.id)
                if monitor_id is None or entry.schedule is None:
                    continue
                # Several Assays may share a namespace: each tends its own.
                if (await entry.memo()).get("task_queue") == self._task_queue:
                    state = entry.schedule.state
                    found[monitor_id] = Seen(note=state.note, paused=state.paused)
        return found

    def _handle(self, monitor_id: UUID) -> ScheduleHandle:
        return self._client.get_schedule_handle(schedule_id(monitor_id))

    def _schedule(self, clock: MonitorClock) -> Schedule:
        return Schedule(
            action=ScheduleActionStartWorkflow(
                MONITOR_WORKFLOW,
                MonitorRef(clock.project_id, clock.monitor_id),
                id=schedule_id(clock.monitor_id),
                task_queue=self._task_queue,
                typed_search_attributes=_attributes(clock),
                priority=Priority(fairness_key=str(clock.project_id)),
                static_summary=f"Monitor: {clock.name}"[:150],
            ),
            spec=ScheduleSpec(cron_expressions=[cron_of(clock.cadence)], time_zone_name="UTC"),
            policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP, catchup_window=CATCH_UP),
            state=ScheduleState(note=clock.note, paused=clock.paused),
        )


def _attributes(clock: MonitorClock) -> TypedSearchAttributes:
    return TypedSearchAttributes(
        [
            SearchAttributePair(PROJECT, str(clock.project_id)),
            SearchAttributePair(TARGET_TYPE, clock.target_type.value),
            SearchAttributePair(MONITOR, str(clock.monitor_id)),
        ]
    )


def _monitor_id(text: str) -> UUID | None:
    if not text.startswith(_ID_PREFIX):
        return None
    try:
        return UUID(text.removeprefix(_ID_PREFIX))
    except ValueError:
        return None
