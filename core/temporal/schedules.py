"""The schedules of monitors in Temporal, one per monitor."""

import asyncio
import logging
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
    ScheduleListDescription,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleSpec,
    ScheduleState,
    ScheduleUpdate,
    ScheduleUpdateInput,
)
from temporalio.common import Priority, SearchAttributePair, TypedSearchAttributes
from temporalio.service import RPCError, RPCStatusCode

from core import clock, json_codec
from core.cron import NAMED, cron_of, period_of
from core.errors import Misconfigured
from core.ids import MonitorStatus, TargetType
from core.safe_text import plain_markdown
from core.temporal.client import (
    MONITOR,
    MONITOR_WORKFLOW,
    PROJECT,
    REACH_SECONDS,
    TARGET_TYPE,
    schedule_id,
    unavailable,
)
from core.temporal.keyring_codec import KEY_ID
from core.temporal.schedule_keys import CLEAR, current_key, is_idle, is_outdated, made_with

if TYPE_CHECKING:
    from core.db.tables import EvalMonitor

log = logging.getLogger(__name__)

MAX_CATCH_UP: Final = timedelta(days=1)

MAX_JITTER: Final = timedelta(minutes=10)
"""A monitor with a named cadence starts up to this long after its due time."""

_ID_PREFIX: Final = "eval-monitor-"

_QUEUE: Final = "task_queue"


@dataclass(frozen=True)
class MonitorRef:
    """The input of a monitor's workflow, which reads everything else from the row when the monitor
    is due.
    """

    project_id: UUID
    monitor_id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class MonitorSchedule:
    """The columns of a monitor's row that shape its schedule."""

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
        """Text on the schedule's page.

        It ends in a hash of all values that the schedule was made from.
        """
        facts = [
            *(self.project_id, self.target_type, self.name, self.cadence, self.paused),
            *(MONITOR_WORKFLOW, jitter_of(self.cadence), catch_up_window(self.cadence)),
        ]
        digest = sha256(json_codec.canonical([str(fact) for fact in facts])).hexdigest()[:16]
        return (
            f"{self.name[:100]} ({self.cadence}). Change it through the API: changes made here are "
            f"undone within a minute, but a pause counts. [{digest}]"
        )


@dataclass(frozen=True, slots=True)
class ListedSchedule:
    """The fields of a schedule that Temporal's list has.

    The note lacks the id of the current key of the codec, which stale schedules do not have.
    `outdated`: the schedule was made before that key.
    """

    note: str | None
    paused: bool
    outdated: bool = False

    def matches(self, wanted: MonitorSchedule) -> bool:
        return not self.outdated and (self.note, self.paused) == (wanted.note, wanted.paused)


@dataclass(frozen=True, slots=True)
class DescribedSchedule:
    """The current state of a schedule. `next_run_at` is None while the schedule is paused.

    The due times without a start are counted since the schedule was created.
    """

    note: str | None
    paused: bool
    next_run_at: datetime | None
    skipped_by_outage: int = 0
    skipped_by_overlap: int = 0


class Schedules:
    """The schedules of one Assay installation: those that start workflows on its task queue."""

    def __init__(self, client: Client, *, task_queue: str) -> None:
        self._client = client
        self._task_queue = task_queue

    async def put(self, monitor: MonitorSchedule) -> None:
        """Creates the schedule, or replaces all of it. Raises Unavailable."""
        key_id = await current_key(self._client, _ID_PREFIX)
        with unavailable():
            async with asyncio.timeout(REACH_SECONDS):
                if key_id and await self._is_to_be_made_again(monitor, key_id):
                    await self._handle(monitor.monitor_id).delete()
                await self._put(monitor, key_id)

    async def _put(self, monitor: MonitorSchedule, key_id: str) -> None:
        schedule = self._schedule(monitor, _key_mark(key_id))

        def replaced(_: ScheduleUpdateInput) -> ScheduleUpdate:
            # Replaces the whole schedule: the server turns cron text into calendars and would keep
            # the old calendars.
            return ScheduleUpdate(schedule)

        try:
            await self._client.create_schedule(
                schedule_id(monitor.monitor_id),
                schedule,
                memo={_QUEUE: CLEAR.to_payload(self._task_queue), **made_with(key_id)},
                search_attributes=_attributes(monitor),
            )
        except ScheduleAlreadyRunningError:
            await self._handle(monitor.monitor_id).update(replaced)

    async def _is_to_be_made_again(self, monitor: MonitorSchedule, key_id: str) -> bool:
        try:
            described = await self._handle(monitor.monitor_id).describe()
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return False
            raise
        outdated = is_outdated(described.raw_description.memo, key_id)
        return outdated and is_idle(described, clock.now(), jitter_of(monitor.cadence))

    async def remove(self, monitor_id: UUID) -> None:
        """Deletes the schedule if it exists. Raises Unavailable."""
        try:
            with unavailable(besides=RPCStatusCode.NOT_FOUND):
                await self._handle(monitor_id).delete(rpc_timeout=timedelta(seconds=REACH_SECONDS))
        except RPCError:
            return

    async def next_run(self, monitor_id: UUID) -> datetime | None:
        """The next start by Temporal; None for a paused or missing schedule. Raises Unavailable."""
        described = await self.described(monitor_id)
        return described.next_run_at if described else None

    async def described(self, monitor_id: UUID) -> DescribedSchedule | None:
        """None for a missing schedule. Raises Unavailable."""
        try:
            with unavailable(besides=RPCStatusCode.NOT_FOUND):
                described = await self._handle(monitor_id).describe(
                    rpc_timeout=timedelta(seconds=REACH_SECONDS)
                )
        except RPCError:
            return None
        state = described.schedule.state
        # A paused schedule still lists future times.
        times = [] if state.paused else described.info.next_action_times
        return DescribedSchedule(
            note=state.note,
            paused=state.paused,
            next_run_at=next(iter(times), None),
            skipped_by_outage=described.info.num_actions_missed_catchup_window,
            skipped_by_overlap=described.info.num_actions_skipped_overlap,
        )

    async def listed(self) -> dict[UUID, ListedSchedule]:
        """Every schedule of this installation; the newest schedules may still be missing.

        Raises Unavailable.
        """
        schedules: dict[UUID, ListedSchedule] = {}
        key_id = await current_key(self._client, _ID_PREFIX)
        with unavailable():
            async for entry in await self._client.list_schedules():
                monitor_id = _monitor_id(entry.id)
                if monitor_id is None or entry.schedule is None:
                    continue
                # Several installations may share a namespace; each manages its own schedules.
                if await _queue_of(entry) == self._task_queue:
                    state = entry.schedule.state
                    schedules[monitor_id] = ListedSchedule(
                        note=state.note and state.note.removesuffix(_key_mark(key_id)),
                        paused=state.paused,
                        outdated=is_outdated(entry.raw_entry.memo, key_id),
                    )
        return schedules

    def _handle(self, monitor_id: UUID) -> ScheduleHandle:
        return self._client.get_schedule_handle(schedule_id(monitor_id))

    def _schedule(self, monitor: MonitorSchedule, key_mark: str) -> Schedule:
        return Schedule(
            action=ScheduleActionStartWorkflow(
                MONITOR_WORKFLOW,
                MonitorRef(monitor.project_id, monitor.monitor_id),
                id=schedule_id(monitor.monitor_id),
                task_queue=self._task_queue,
                typed_search_attributes=_attributes(monitor),
                priority=Priority(fairness_key=str(monitor.project_id)),
                static_summary=plain_markdown(f"Monitor: {monitor.name}"[:120]),
            ),
            spec=ScheduleSpec(
                cron_expressions=[cron_of(monitor.cadence)],
                time_zone_name="UTC",
                jitter=jitter_of(monitor.cadence),
            ),
            policy=SchedulePolicy(
                overlap=ScheduleOverlapPolicy.SKIP,
                catchup_window=catch_up_window(monitor.cadence),
            ),
            state=ScheduleState(note=monitor.note + key_mark, paused=monitor.paused),
        )


def _key_mark(key_id: str) -> str:
    """The end of a note, with the id of the key that encrypts now; empty without a codec.

    A schedule keeps its encrypted input until it is replaced. The mark makes it stale when the
    key changes, so that no schedule needs a key that is removed later.
    """
    return f" [key {key_id}]" if key_id else ""


def catch_up_window(cadence: str) -> timedelta:
    """A run that came due while Temporal was unavailable starts late, by at most this time."""
    return min(period_of(cadence) / 2, MAX_CATCH_UP)


def jitter_of(cadence: str) -> timedelta:
    """A named cadence names no minute, so its monitors do not all start at midnight at once."""
    return MAX_JITTER if cadence in NAMED else timedelta()


def _attributes(monitor: MonitorSchedule) -> TypedSearchAttributes:
    return TypedSearchAttributes(
        [
            SearchAttributePair(PROJECT, str(monitor.project_id)),
            SearchAttributePair(TARGET_TYPE, monitor.target_type.value),
            SearchAttributePair(MONITOR, str(monitor.monitor_id)),
        ]
    )


async def _queue_of(entry: ScheduleListDescription) -> str | None:
    """The task queue of the installation that made the schedule; None if it cannot be read."""
    payload = entry.raw_entry.memo.fields.get(_QUEUE)
    if payload is None:
        return None
    if KEY_ID not in payload.metadata:
        return str(CLEAR.from_payload(payload))
    try:
        return str((await entry.memo())[_QUEUE])
    except Misconfigured as error:
        log.warning("Schedule %s cannot be read: %s", entry.id, error.message)
        return None


def _monitor_id(text: str) -> UUID | None:
    if not text.startswith(_ID_PREFIX):
        return None
    try:
        return UUID(text.removeprefix(_ID_PREFIX))
    except ValueError:
        return None
