"""Whether a due monitor opens a run: once per due time, and only if something new arrived."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from activities.monitors import Monitors
from activities.payloads import DueMonitor, DueRun
from core import clock
from core.db.database import Database
from core.db.paging import Page
from core.db.tables import EvalMonitor, EvalRun
from core.ids import MonitorStatus, ProjectId, RunStatus
from core.queries import monitor_rows, run_rows, run_upkeep, workers
from core.run_spec import OpenRunLimits, RunQuota
from tests.factories import end_run, make_monitor, new_run, store_traces

DUE = datetime(2026, 9, 1, 6, tzinfo=UTC)

ROOM = OpenRunLimits(per_project=9, in_all=9)
QUOTA = RunQuota(unfinished_runs=100, pairs_per_day=1000)


async def ask(
    database: Database, monitor: EvalMonitor, at: datetime = DUE, quota: RunQuota = QUOTA
) -> DueRun:
    activity = Monitors(database, default_model="offline/rules", open_runs=ROOM, quota=quota)
    return await activity.open_due_run(DueMonitor(monitor.project_id, monitor.id, at))


async def runs_of(database: Database, monitor: EvalMonitor) -> list[EvalRun]:
    async with database.read() as db:
        found, _ = await monitor_rows.page_of_runs(
            db, ProjectId(monitor.project_id), monitor.id, Page()
        )
    return found


async def end(database: Database, opening: DueRun) -> None:
    assert opening.run is not None
    run = opening.run
    await end_run(database, ProjectId(run.project_id), run.run_id, RunStatus.COMPLETED)


def opened(opening: DueRun) -> UUID:
    assert opening.run is not None, opening.note
    return opening.run.run_id


async def test_a_due_monitor_opens_a_run_of_what_it_says(
    database: Database, project_id: ProjectId
) -> None:
    await store_traces(database, project_id, 1, tags=["a"])
    monitor = await make_monitor(
        database, project_id, filters={"tags": ["a"]}, sampling_rate=0.5, model="openai/gpt-5"
    )
    opening = await ask(database, monitor)
    [row] = await runs_of(database, monitor)
    assert opened(opening) == row.id
    assert (row.name, row.monitor_id) == ("[Monitor] nightly", monitor.id)
    assert (row.filters, row.sampling_rate) == ({"tags": ["a"]}, 0.5)
    assert (row.model, row.status) == ("openai/gpt-5", RunStatus.PENDING)
    async with database.read() as db:
        now = await monitor_rows.get(db, project_id, monitor.id)
    assert (now.last_run_id, now.last_run_at) == (row.id, row.created_at)
    assert now.revision == monitor.revision


async def test_a_monitor_without_a_model_takes_what_the_workers_offer_now(
    database: Database, project_id: ProjectId
) -> None:
    await store_traces(database, project_id, 1)
    monitor = await make_monitor(database, project_id, model=None, only_if_changed=False)
    first = await ask(database, monitor)
    await end(database, first)
    async with database.write() as db:
        await workers.publish(
            db, worker_id="w", started_at=clock.now(), default_model="openai/gpt-5", providers=[]
        )
    second = await ask(database, monitor, DUE + timedelta(days=1))
    assert first.run is not None
    assert second.run is not None
    assert [first.run.model, second.run.model] == ["offline/rules", "openai/gpt-5"]


async def test_a_repeat_for_the_same_moment_opens_no_second_run(
    database: Database, project_id: ProjectId
) -> None:
    await store_traces(database, project_id, 1)
    monitor = await make_monitor(database, project_id)
    openings = await asyncio.gather(*(ask(database, monitor) for _ in range(5)))
    await end(database, openings[0])
    openings.append(await ask(database, monitor))
    [row] = await runs_of(database, monitor)
    assert {opened(one) for one in openings} == {row.id}


async def test_nothing_new_by_arrival_time_opens_no_run(
    database: Database, project_id: ProjectId
) -> None:
    await store_traces(database, project_id, 1, tags=["a"])
    monitor = await make_monitor(database, project_id, filters={"tags": ["a"]})
    await end(database, await ask(database, monitor))
    # One trace does not match, and the other arrived before, so neither counts as new.
    await store_traces(database, project_id, 1, tags=["b"])
    second = await ask(database, monitor, DUE + timedelta(days=1))
    assert (second.run, "has arrived" in second.note) == (None, True)
    # The trace started long ago by its own clock, but it arrives now.
    await store_traces(database, project_id, 1, tags=["a"])
    third = await ask(database, monitor, DUE + timedelta(days=2))
    assert opened(third)
    await end(database, third)
    assert (await ask(database, monitor, DUE + timedelta(days=3))).run is None
    assert len(await runs_of(database, monitor)) == 2


async def test_of_several_moments_at_once_one_opens_a_run(
    database: Database, project_id: ProjectId
) -> None:
    await store_traces(database, project_id, 1)
    monitor = await make_monitor(database, project_id, only_if_changed=False)
    openings = await asyncio.gather(
        *(ask(database, monitor, DUE + timedelta(hours=hour)) for hour in range(5))
    )
    [row] = await runs_of(database, monitor)
    assert [one.run.run_id for one in openings if one.run] == [row.id]


async def test_told_to_run_anyway_it_runs_without_anything_new(
    database: Database, project_id: ProjectId
) -> None:
    await store_traces(database, project_id, 1)
    monitor = await make_monitor(database, project_id, only_if_changed=False)
    for day in range(2):
        await end(database, await ask(database, monitor, DUE + timedelta(days=day)))
    assert len(await runs_of(database, monitor)) == 2


async def test_when_nothing_matches_no_run_is_opened(
    database: Database, project_id: ProjectId
) -> None:
    await store_traces(database, project_id, 1)
    for only_if_changed in (True, False):
        monitor = await make_monitor(
            database,
            project_id,
            filters={"name": "somebody else"},
            only_if_changed=only_if_changed,
        )
        opening = await ask(database, monitor)
        assert (opening.run, opening.note) == (None, "Nothing matches the monitor's filters.")


async def test_a_run_still_going_keeps_the_next_from_opening(
    database: Database, project_id: ProjectId
) -> None:
    await store_traces(database, project_id, 1)
    monitor = await make_monitor(database, project_id, only_if_changed=False)
    first = await ask(database, monitor)
    second = await ask(database, monitor, DUE + timedelta(days=1))
    assert (second.run, "still open" in second.note) == (None, True)
    await end(database, first)
    assert opened(await ask(database, monitor, DUE + timedelta(days=2)))


async def test_a_stale_schedule_of_a_paused_or_deleted_monitor_is_harmless(
    database: Database, project_id: ProjectId
) -> None:
    await store_traces(database, project_id, 1)
    monitor = await make_monitor(database, project_id)
    async with database.write() as db:
        await monitor_rows.set_status(db, project_id, monitor.id, MonitorStatus.PAUSED)
    assert (await ask(database, monitor)).note == "The monitor is paused."
    async with database.write() as db:
        await monitor_rows.remove(db, project_id, monitor.id)
    assert (await ask(database, monitor)).note == "The monitor was deleted."
    async with database.read() as db:
        assert await run_upkeep.unfinished(db, older_than_seconds=-60, limit=1) == []


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"filters": {"no_such_filter": 1}}, "no_such_filter"),
        ({"metric_names": ["no_such_metric"]}, "no_such_metric"),
    ],
)
async def test_a_monitor_that_cannot_run_says_why_and_is_paused(
    database: Database, project_id: ProjectId, settings: dict[str, Any], says: str
) -> None:
    await store_traces(database, project_id, 1)
    monitor = await make_monitor(database, project_id, **settings)
    for _ in range(monitor_rows.MAX_FAILURES):
        due = await ask(database, monitor)
        assert due.run is None
        assert says in due.note
    async with database.read() as db:
        row = await monitor_rows.get(db, project_id, monitor.id)
    assert says in (row.last_error or "")
    assert (row.status, row.revision) == (MonitorStatus.PAUSED, monitor.revision + 1)
    # A monitor that somebody resumed gets as many attempts again.
    async with database.write() as db:
        await monitor_rows.set_status(db, project_id, monitor.id, MonitorStatus.ACTIVE)
    await ask(database, monitor)
    async with database.read() as db:
        row = await monitor_rows.get(db, project_id, monitor.id)
    assert (row.status, row.failures) == (MonitorStatus.ACTIVE, 1)


@pytest.mark.parametrize(
    ("quota", "named"),
    [
        (replace(QUOTA, unfinished_runs=1), "ASSAY_MAX_UNFINISHED_RUNS"),
        (replace(QUOTA, pairs_per_day=1), "ASSAY_MAX_PAIRS_PER_DAY"),
    ],
)
async def test_a_monitor_whose_project_has_used_up_a_quota_says_so_and_goes_on(
    database: Database, project_id: ProjectId, quota: RunQuota, named: str
) -> None:
    await store_traces(database, project_id, 1)
    monitor = await make_monitor(database, project_id)
    async with database.write() as db:
        other = await run_rows.create(db, new_run(project_id))
        other.total_targets, other.admitted_at = 1, other.created_at
    for n in range(monitor_rows.MAX_FAILURES + 1):
        refused = await ask(database, monitor, DUE + timedelta(hours=n), quota)
        assert refused.run is None
        assert named in refused.note
    async with database.read() as db:
        row = await monitor_rows.get(db, project_id, monitor.id)
    assert row.status is MonitorStatus.ACTIVE
    assert named in (row.last_error or "")
    opening = await ask(database, monitor, DUE + timedelta(days=1))
    # A repetition finds its run, although the run itself uses up the quota.
    assert opened(await ask(database, monitor, DUE + timedelta(days=1), quota)) == opened(opening)
    async with database.read() as db:
        assert (await monitor_rows.get(db, project_id, monitor.id)).last_error is None
