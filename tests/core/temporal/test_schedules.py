"""Schedules on a real Temporal: created, replaced, removed, and their due times."""

import asyncio
from base64 import b64encode
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from temporalio.client import Client, ScheduleOverlapPolicy

from core.cron import cron_of
from core.errors import Unavailable
from core.ids import TargetType
from core.temporal.keyring_codec import KEY_ID, KeyringCodec
from core.temporal.payload_codec import data_converter
from core.temporal.schedules import (
    MAX_JITTER,
    ListedSchedule,
    MonitorSchedule,
    Schedules,
    catch_up_window,
)
from tests.calendar import strikes


def clock_of(**overrides: object) -> MonitorSchedule:
    made = MonitorSchedule(
        monitor_id=uuid4(),
        project_id=uuid4(),
        target_type=TargetType.TRACE,
        name="nightly",
        cadence="daily",
        paused=False,
        revision=1,
    )
    return replace(made, **overrides)  # type: ignore[arg-type] # of whichever field


@pytest.fixture
def schedules(temporal_client: Client, task_queue: str) -> Schedules:
    return Schedules(temporal_client, task_queue=task_queue)


async def next_times(client: Client, clock: MonitorSchedule, count: int) -> list[datetime]:
    described = await client.get_schedule_handle(f"eval-monitor-{clock.monitor_id}").describe()
    return list(described.info.next_action_times)[:count]


async def test_a_schedule_says_what_an_operator_needs(
    schedules: Schedules, temporal_client: Client, task_queue: str
) -> None:
    clock = clock_of(cadence="cron:30 6 * * mon")
    await schedules.put(clock)
    described = await temporal_client.get_schedule_handle(
        f"eval-monitor-{clock.monitor_id}"
    ).describe()
    assert described.schedule.policy.overlap is ScheduleOverlapPolicy.SKIP
    assert described.schedule.policy.catchup_window == timedelta(days=1)
    assert described.schedule.state.note == clock.note
    assert "cron:30 6 * * mon" in clock.note
    attributes = {pair.key.name: pair.value for pair in described.typed_search_attributes}
    assert attributes == {
        "AssayProject": str(clock.project_id),
        "AssayTargetType": "TRACE",
        "AssayMonitor": str(clock.monitor_id),
    }


async def test_a_changed_cadence_leaves_nothing_of_the_old_one(
    schedules: Schedules, temporal_client: Client
) -> None:
    clock = clock_of(cadence="cron:0 3 * * *")
    await schedules.put(clock)
    changed = replace(clock, cadence="cron:0 15 * * *")
    await schedules.put(changed)
    now = datetime.now(UTC)
    assert await next_times(temporal_client, clock, 5) == list(
        islice(strikes("0 15 * * *", now), 5)
    )


async def test_monitors_of_a_named_cadence_do_not_all_start_at_midnight(
    schedules: Schedules, temporal_client: Client
) -> None:
    clocks = [clock_of() for _ in range(5)]
    delays = set[timedelta]()
    for clock in clocks:
        await schedules.put(clock)
        times = await next_times(temporal_client, clock, 2)
        delays |= {at - at.replace(hour=0, minute=0, second=0, microsecond=0) for at in times}
    assert len(delays) > 1
    assert all(delay <= MAX_JITTER for delay in delays)


async def test_a_paused_schedule_has_no_next_run(schedules: Schedules) -> None:
    clock = clock_of(cadence="cron:0 0 * * *")
    await schedules.put(clock)
    [first] = islice(strikes("0 0 * * *", datetime.now(UTC)), 1)
    assert await schedules.next_run(clock.monitor_id) == first
    await schedules.put(replace(clock, paused=True))
    assert await schedules.next_run(clock.monitor_id) is None
    await schedules.put(clock)
    assert await schedules.next_run(clock.monitor_id) == first


async def test_what_is_not_there_has_no_next_run_and_can_be_removed(schedules: Schedules) -> None:
    assert await schedules.next_run(uuid4()) is None
    await schedules.remove(uuid4())
    clock = clock_of()
    await schedules.put(clock)
    await schedules.remove(clock.monitor_id)
    assert await schedules.next_run(clock.monitor_id) is None


def through(client: Client, keys: str, task_queue: str) -> Schedules:
    config = client.config()
    config["data_converter"] = data_converter(KeyringCodec(keys))
    return Schedules(Client(**config), task_queue=task_queue)


async def seen(schedules: Schedules, monitor: MonitorSchedule) -> ListedSchedule:
    """Waits until Temporal's list has the schedule."""
    async with asyncio.timeout(20):
        while (found := (await schedules.listed()).get(monitor.monitor_id)) is None:
            await asyncio.sleep(0.1)
    return found


async def key_of_input(client: Client, monitor: MonitorSchedule) -> bytes:
    handle = client.get_schedule_handle(f"eval-monitor-{monitor.monitor_id}")
    action = (await handle.describe()).raw_description.schedule.action.start_workflow
    return action.input.payloads[0].metadata[KEY_ID]


@pytest.mark.slow
async def test_a_schedule_is_encrypted_again_after_a_change_of_the_key(
    temporal_client: Client, task_queue: str
) -> None:
    monitor = clock_of()
    old, new = (f"{name}:{b64encode(32 * name[:1].encode()).decode()}" for name in ("old", "new"))
    before = through(temporal_client, old, task_queue)
    await before.put(monitor)
    assert (await seen(before, monitor)).matches(monitor)
    added = through(temporal_client, f"{old},{new}", task_queue)
    assert (await seen(added, monitor)).matches(monitor)
    moved = through(temporal_client, f"{new},{old}", task_queue)
    assert not (await seen(moved, monitor)).matches(monitor)
    await moved.put(monitor)
    assert await key_of_input(temporal_client, monitor) == b"new"
    alone = through(temporal_client, new, task_queue)
    async with asyncio.timeout(20):
        while not (await seen(alone, monitor)).matches(monitor):
            await asyncio.sleep(0.1)


async def test_without_temporal_everything_is_unavailable() -> None:
    lazy = await Client.connect("127.0.0.1:1", lazy=True)
    schedules = Schedules(lazy, task_queue="q")
    for work in (
        schedules.put(clock_of()),
        schedules.remove(uuid4()),
        schedules.next_run(uuid4()),
        schedules.listed(),
    ):
        with pytest.raises(Unavailable):
            await work


def field(low: int, high: int, names: tuple[str, ...] = ()) -> st.SearchStrategy[str]:
    number = st.integers(low, high)
    value = st.one_of(number.map(str), *([st.sampled_from(names)] if names else []))
    span = st.tuples(number, number).map(lambda two: f"{min(two)}-{max(two)}")
    step = st.integers(1, high).map(lambda n: f"/{n}")
    stepped = st.tuples(st.one_of(st.just("*"), span, number.map(str)), step).map("".join)
    part = st.one_of(st.just("*"), value, span, stepped)
    return st.lists(part, min_size=1, max_size=3).map(",".join)


CRON = st.tuples(
    field(0, 59),
    field(0, 23),
    field(1, 28),
    field(1, 12, ("jan", "FEB", "Dec")),
    field(0, 7, ("sun", "MON", "Sat")),
).map(" ".join)


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(cron=CRON)
@example(cron="* 0 17 1 1-7")
@example(cron="0 0 * * 1/1")
async def test_temporal_takes_what_we_take_and_strikes_when_cron_says(
    schedules: Schedules, temporal_client: Client, cron: str
) -> None:
    clock = clock_of(cadence=f"cron:{cron}")
    assert cron_of(clock.cadence).split()[:4] == cron.split()[:4]
    await schedules.put(clock)
    before = datetime.now(UTC)
    times = await next_times(temporal_client, clock, 3)
    expected = list(islice(strikes(cron, before), 4))
    assert times in (expected[:3], expected[1:])
    await schedules.remove(clock.monitor_id)


@pytest.mark.parametrize(
    ("cadence", "window"),
    [
        ("weekly", timedelta(days=1)),
        ("daily", timedelta(hours=12)),
        ("every_6h", timedelta(hours=3)),
        ("cron:*/30 * * * *", timedelta(minutes=15)),
    ],
)
def test_a_run_missed_by_an_outage_is_started_within_half_a_period_or_a_day(
    cadence: str, window: timedelta
) -> None:
    assert catch_up_window(cadence) == window
