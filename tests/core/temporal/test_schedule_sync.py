"""Rows and schedules that differ in any way are reconciled."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import pytest
from temporalio.client import Client

from core.db.database import Database
from core.db.tables import EvalMonitor
from core.errors import Unavailable
from core.ids import MonitorStatus, ProjectId
from core.queries import monitor_rows
from core.temporal.schedule_sync import MAX_NOTE, ScheduleSync
from core.temporal.schedules import (
    DescribedSchedule,
    ListedSchedule,
    MonitorSchedule,
    Schedules,
)
from tests.factories import make_monitor, monitor_settings


@dataclass
class Meeting:
    """A database and a Temporal that a test changes separately."""

    database: Database
    project_id: ProjectId
    client: Client
    schedules: Schedules
    clockwork: ScheduleSync

    async def make(self, **settings: Any) -> EvalMonitor:
        return await make_monitor(self.database, self.project_id, **settings)

    async def row(self, monitor: EvalMonitor) -> EvalMonitor:
        async with self.database.read() as db:
            return await monitor_rows.get(db, self.project_id, monitor.id)

    async def settled(self, *wanted: EvalMonitor) -> dict[UUID, ListedSchedule]:
        """Waits until Temporal's list has these schedules."""
        async with asyncio.timeout(20):
            while True:
                seen = await self.schedules.listed()
                rows = [await self.row(one) for one in wanted]
                if seen.keys() == {row.id for row in rows} and all(
                    seen[row.id].matches(MonitorSchedule.of(row)) for row in rows
                ):
                    return seen
                await asyncio.sleep(0.1)


@pytest.fixture
async def meeting(
    database: Database, project_id: ProjectId, temporal_client: Client, task_queue: str
) -> AsyncIterator[Meeting]:
    schedules = Schedules(temporal_client, task_queue=task_queue)
    made = Meeting(
        database, project_id, temporal_client, schedules, ScheduleSync(database, schedules)
    )
    yield made
    for left in await schedules.listed():
        await schedules.remove(left)


async def test_a_lost_schedule_is_made_again(meeting: Meeting) -> None:
    kept, lost = await meeting.make(), await meeting.make()
    for one in (kept, lost):
        await meeting.clockwork.sync(one.id)
    await meeting.settled(kept, lost)
    await meeting.schedules.remove(lost.id)
    await meeting.settled(kept)
    await meeting.clockwork.reconcile()
    await meeting.settled(kept, lost)
    assert await meeting.schedules.next_run(lost.id) is not None


async def test_a_row_changed_while_temporal_was_down_replaces_its_schedule(
    meeting: Meeting,
) -> None:
    changed, paused = await meeting.make(cadence="daily"), await meeting.make()
    for one in (changed, paused):
        await meeting.clockwork.sync(one.id)
    await meeting.settled(changed, paused)
    async with meeting.database.write() as db:
        await monitor_rows.change(
            db, meeting.project_id, changed.id, monitor_settings(cadence="cron:7 * * * *")
        )
        await monitor_rows.set_status(db, meeting.project_id, paused.id, MonitorStatus.PAUSED)
    await meeting.clockwork.reconcile()
    await meeting.settled(changed, paused)
    at = await meeting.schedules.next_run(changed.id)
    assert at is not None
    assert at.minute == 7
    assert await meeting.schedules.next_run(paused.id) is None
    assert (await meeting.row(changed)).next_run_at == at


async def test_a_schedule_paused_in_temporal_pauses_its_monitor_with_a_note(
    meeting: Meeting,
) -> None:
    made = await meeting.make()
    await meeting.clockwork.sync(made.id)
    await meeting.settled(made)
    await meeting.client.get_schedule_handle(f"eval-monitor-{made.id}").pause(note="too dear")
    async with asyncio.timeout(20):
        while not (await meeting.schedules.listed())[made.id].paused:
            await asyncio.sleep(0.1)
    await meeting.clockwork.reconcile()
    row = await meeting.row(made)
    assert row.status is MonitorStatus.PAUSED
    assert row.last_error is not None
    assert "paused in Temporal with the note 'too dear'" in row.last_error
    assert (await meeting.settled(row))[made.id].paused
    async with meeting.database.write() as db:
        await monitor_rows.set_status(db, meeting.project_id, made.id, MonitorStatus.ACTIVE)
    await meeting.clockwork.sync(made.id)
    row = await meeting.row(made)
    assert (row.status, row.last_error) == (MonitorStatus.ACTIVE, None)
    assert await meeting.schedules.next_run(made.id) is not None


async def test_reading_a_monitor_notices_what_was_done_to_its_schedule(meeting: Meeting) -> None:
    deleted, paused = await meeting.make(), await meeting.make()
    for one in (deleted, paused):
        await meeting.clockwork.sync(one.id)
    rows = [await meeting.row(one) for one in (deleted, paused)]
    await meeting.schedules.remove(deleted.id)
    await meeting.client.get_schedule_handle(f"eval-monitor-{paused.id}").pause(note="stop")
    [(first, made_again), (second, none)] = await meeting.clockwork.upcoming(rows)
    assert (first.status, second.status) == (MonitorStatus.ACTIVE, MonitorStatus.PAUSED)
    assert made_again is not None
    assert none is None
    assert await meeting.schedules.next_run(deleted.id) == made_again


async def test_the_pause_that_a_resumed_monitor_still_has_in_temporal_does_not_count(
    meeting: Meeting,
) -> None:
    made = await meeting.make()
    for status in (MonitorStatus.PAUSED, MonitorStatus.ACTIVE):
        await meeting.clockwork.sync(made.id)
        async with meeting.database.write() as db:
            await monitor_rows.set_status(db, meeting.project_id, made.id, status)
    # The resumed row has not reached Temporal yet.
    assert await meeting.schedules.next_run(made.id) is None
    [(row, _)] = await meeting.clockwork.upcoming([await meeting.row(made)])
    assert (row.status, row.last_error) == (MonitorStatus.ACTIVE, None)
    await meeting.clockwork.sync_pending()
    row = await meeting.row(made)
    assert (row.status, row.last_error) == (MonitorStatus.ACTIVE, None)
    assert await meeting.schedules.next_run(made.id) is not None


async def test_of_a_long_note_a_monitor_shows_the_beginning(meeting: Meeting) -> None:
    made = await meeting.make()
    await meeting.clockwork.sync(made.id)
    handle = meeting.client.get_schedule_handle(f"eval-monitor-{made.id}")
    await handle.pause(note="n" * MAX_NOTE + "o" * 100)
    [(row, _)] = await meeting.clockwork.upcoming([await meeting.row(made)])
    assert f"with the note '{'n' * MAX_NOTE}'." in (row.last_error or "")


async def test_a_pause_seen_before_the_monitor_changed_pauses_nothing(
    database: Database, project_id: ProjectId
) -> None:
    seen = await make_monitor(database, project_id)
    async with database.write() as db:
        await monitor_rows.change(db, project_id, seen.id, monitor_settings(cadence="weekly"))
    async with database.write() as db:
        await monitor_rows.pause_unless_changed(db, seen, "paused before")
    async with database.read() as db:
        row = await monitor_rows.get(db, project_id, seen.id)
    assert (row.status, row.last_error) == (MonitorStatus.ACTIVE, None)


async def test_an_orphan_schedule_is_removed_and_no_stranger(
    meeting: Meeting, temporal_client: Client
) -> None:
    kept, orphan, foreign = await meeting.make(), await meeting.make(), await meeting.make()
    for one in (kept, orphan):
        await meeting.clockwork.sync(one.id)
    strangers = Schedules(temporal_client, task_queue=f"other-{uuid4()}")
    await strangers.put(MonitorSchedule.of(foreign))
    await meeting.settled(kept, orphan)
    async with meeting.database.write() as db:
        for one in (orphan, foreign):
            await monitor_rows.remove(db, meeting.project_id, one.id)
    await meeting.clockwork.reconcile()
    await meeting.settled(kept)
    assert await strangers.next_run(foreign.id) is not None
    await strangers.remove(foreign.id)


async def test_reconciling_what_agrees_tells_temporal_nothing(meeting: Meeting) -> None:
    made = await meeting.make()
    await meeting.clockwork.sync(made.id)
    await meeting.settled(made)
    handle = meeting.client.get_schedule_handle(f"eval-monitor-{made.id}")
    before = (await handle.describe()).info.last_updated_at
    await meeting.clockwork.reconcile()
    assert (await handle.describe()).info.last_updated_at == before


@dataclass
class Recorder:
    """Schedules that record updates, with a callback during each update."""

    told: dict[UUID, MonitorSchedule] = field(default_factory=dict)
    refuses: set[UUID] = field(default_factory=set)
    on_put: Any = None

    async def put(self, clock: MonitorSchedule) -> None:
        if clock.monitor_id in self.refuses:
            raise Unavailable("Temporal", "Not this one.")
        if self.on_put is not None:
            callback, self.on_put = self.on_put, None
            await callback()
        self.told[clock.monitor_id] = clock

    async def remove(self, monitor_id: UUID) -> None:
        self.told.pop(monitor_id, None)

    async def described(self, monitor_id: UUID) -> DescribedSchedule | None:
        return None

    async def listed(self) -> dict[UUID, ListedSchedule]:
        return {}


async def test_a_change_that_overtakes_another_wins(
    database: Database, project_id: ProjectId
) -> None:
    made = await make_monitor(database, project_id, cadence="daily")
    recorder = Recorder()
    clockwork = ScheduleSync(database, recorder)

    async def overtake() -> None:
        async with database.write() as db:
            await monitor_rows.change(db, project_id, made.id, monitor_settings(cadence="weekly"))
        await clockwork.sync(made.id)

    recorder.on_put = overtake
    await clockwork.sync(made.id)
    assert recorder.told[made.id].cadence == "weekly"
    async with database.read() as db:
        assert await monitor_rows.out_of_sync(db, limit=10) == []


async def test_a_deletion_that_overtakes_a_change_wins(
    database: Database, project_id: ProjectId
) -> None:
    made = await make_monitor(database, project_id)
    recorder = Recorder()
    clockwork = ScheduleSync(database, recorder)

    async def overtake() -> None:
        async with database.write() as db:
            await monitor_rows.remove(db, project_id, made.id)
        await clockwork.sync(made.id)

    recorder.on_put = overtake
    await clockwork.sync(made.id)
    assert recorder.told == {}


async def test_a_schedule_temporal_refuses_does_not_hold_up_the_others(
    database: Database, project_id: ProjectId
) -> None:
    made = [await make_monitor(database, project_id) for _ in range(4)]
    recorder = Recorder(refuses={made[0].id, made[1].id})
    await ScheduleSync(database, recorder).sync_pending()
    assert set(recorder.told) == {made[2].id, made[3].id}
    recorder.refuses.add(made[2].id)
    with pytest.raises(Unavailable):
        await ScheduleSync(database, recorder).reconcile()
