"""Permits: in order, per model, under the ceiling of a provider, with bounded waits."""

import asyncio
from collections.abc import Callable

import pytest

from core import clock
from core.errors import JudgeBusy, NoPermit, PermitWait
from core.provider_status import ThrottleState
from evals.judges import rate_control
from evals.judges.rate_control import Ceiling, Permit, Throttle


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


async def test_permits_come_in_order_and_a_waiter_may_leave() -> None:
    throttle = Throttle(Ceiling(1))
    async with throttle.permit():
        taken: list[int] = []

        async def take(number: int) -> None:
            async with throttle.permit():
                taken.append(number)

        waiting = [asyncio.create_task(take(number)) for number in range(3)]
        await asyncio.sleep(0)
        assert taken == []
        waiting[1].cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert taken == [0, 2]


async def test_a_throttle_says_what_holds_calls_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_control, "MAX_WAIT_SECONDS", 0.05)
    throttle = Throttle(Ceiling(1), provider="openai", name="openai/own")
    assert throttle.status("own") is None
    async with throttle.permit() as permit:
        full = throttle.status("own")
        assert full is not None
        assert (full.state, full.open_calls, full.until) == (ThrottleState.FULL, 1, None)
        permit.refused(30.0)
        permit.refused(30.0)
    limited = throttle.status("own")
    assert limited is not None
    assert (limited.provider, limited.model) == ("openai", "own")
    assert limited.state is ThrottleState.RATE_LIMITED
    assert limited.until is not None
    assert 25 < (limited.until - clock.now()).total_seconds() <= 30


async def test_no_more_are_open_than_the_ceiling_allows() -> None:
    throttle = Throttle(Ceiling(2))
    peak = 0

    async def call() -> None:
        nonlocal peak
        async with throttle.permit() as permit:
            peak = max(peak, throttle.in_flight)
            await asyncio.sleep(0)
            permit.succeeded()

    await asyncio.gather(*(call() for _ in range(7)))
    assert peak == 2
    assert throttle.in_flight == 0


async def test_a_wait_ends_with_the_time_of_the_next_try(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_control, "MAX_WAIT_SECONDS", 0.05)
    throttle = Throttle(Ceiling(1), provider="openai", name="openai/own")
    async with throttle.permit():
        with pytest.raises(NoPermit, match=r"^openai/own has as many calls open") as caught:
            async with throttle.permit():
                pass
    assert caught.value.cause is PermitWait.CONCURRENCY
    assert caught.value.provider == "openai"
    assert caught.value.rate_limited
    assert caught.value.retry_after is not None
    async with throttle.permit():
        pass


async def test_a_long_line_is_not_joined_and_its_places_are_given_out_in_turn() -> None:
    clock = Clock()
    throttle = Throttle(Ceiling(8), now=clock)
    waits: list[float] = []

    async def ask() -> None:
        try:
            async with throttle.permit():
                await asyncio.Event().wait()
        except NoPermit as error:
            waits.append(error.retry_after or 0.0)

    tasks = [asyncio.create_task(ask()) for _ in range(4)]
    await asyncio.sleep(0)
    clock.now = rate_control.UNKNOWN_STALLED_SECONDS
    tasks += [asyncio.create_task(ask()) for _ in range(36)]
    while len(waits) < 22:
        await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert len(waits) == 40 - 8 - rate_control.MIN_LINE
    assert waits == sorted(waits)
    assert waits[-1] > waits[0] + 1


async def test_a_long_retry_after_frees_the_slot_at_once() -> None:
    throttle = Throttle(Ceiling(8))
    for _ in range(2):
        async with throttle.permit() as permit:
            permit.refused(30.0)
    with pytest.raises(NoPermit) as caught:
        async with throttle.permit():
            pass
    assert caught.value.cause is PermitWait.RATE_LIMIT
    assert 29 < (caught.value.retry_after or 0) <= 60


async def fail(throttle: Throttle, times: int) -> None:
    for _ in range(times):
        async with throttle.permit() as permit:
            permit.failed()


async def test_an_outage_lets_one_probe_through_and_sends_the_others_away() -> None:
    clock = Clock()
    throttle = Throttle(Ceiling(8), now=clock)
    await fail(throttle, 10)
    with pytest.raises(NoPermit) as caught:
        await fail(throttle, 1)
    assert caught.value.cause is PermitWait.OUTAGE
    assert not caught.value.rate_limited
    clock.now = 1.5
    async with throttle.permit() as probe:
        assert probe.is_probe
        with pytest.raises(NoPermit):
            await fail(throttle, 1)
        probe.succeeded()
    async with throttle.permit() as permit:
        assert not permit.is_probe


async def test_those_in_line_are_sent_away_when_the_circuit_opens() -> None:
    throttle = Throttle(Ceiling(1))
    await fail(throttle, 9)
    async with throttle.permit() as permit:
        waiting = [asyncio.create_task(fail(throttle, 1)) for _ in range(5)]
        await asyncio.sleep(0)
        permit.failed()
    ended = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(end) for end in ended] == [NoPermit] * 5


async def test_a_cancelled_probe_leaves_the_next_probe_to_another() -> None:
    clock = Clock()
    throttle = Throttle(Ceiling(8), now=clock)
    await fail(throttle, 10)
    clock.now = 1.5
    with pytest.raises(JudgeBusy):
        async with throttle.permit():
            raise JudgeBusy("its time was over", provider="openai")
    async with throttle.permit() as permit:
        assert permit.is_probe


async def hold(throttle: Throttle, count: int) -> list[asyncio.Task[None]]:
    """Opens calls that are never answered."""

    async def one() -> None:
        async with throttle.permit():
            await asyncio.Event().wait()

    tasks = [asyncio.create_task(one()) for _ in range(count)]
    await asyncio.sleep(0)
    return tasks


Spoil = Callable[[Permit], None]


@pytest.mark.parametrize("known", [False, True], ids=["never answered", "answered before"])
async def test_a_hung_model_leaves_the_ceiling_to_another_model(known: bool) -> None:
    clock = Clock()
    ceiling = Ceiling(20)
    hung, healthy = Throttle(ceiling, now=clock), Throttle(ceiling, now=clock)
    if known:
        async with hung.permit() as permit:
            clock.now += 0.2
            permit.succeeded()
    stuck = await hold(hung, 20)
    if known:
        assert hung.in_flight == 20
        clock.now += 1.5
    open_now = await hold(healthy, 10)
    assert healthy.in_flight == 10
    clock.now += 6
    open_now += await hold(healthy, 10)
    assert healthy.in_flight == 20
    for task in stuck + open_now:
        task.cancel()
    await asyncio.gather(*stuck, *open_now, return_exceptions=True)
    assert hung.in_flight == healthy.in_flight == 0


@pytest.mark.parametrize(
    "spoil",
    [lambda permit: permit.refused(20.0), lambda permit: permit.failed()],
    ids=["limited", "failing"],
)
async def test_a_limited_or_failing_model_delays_no_other_model(spoil: Spoil) -> None:
    ceiling = Ceiling(20)
    bad, healthy = Throttle(ceiling), Throttle(ceiling)
    for _ in range(15):
        try:
            async with bad.permit() as permit:
                spoil(permit)
        except NoPermit:
            continue
    async with asyncio.timeout(1), asyncio.TaskGroup() as group:
        for _ in range(40):
            group.create_task(succeed(healthy))


async def succeed(throttle: Throttle) -> None:
    async with throttle.permit() as permit:
        await asyncio.sleep(0)
        permit.succeeded()
