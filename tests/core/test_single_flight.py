import asyncio

import pytest

from core.single_flight import SingleFlight


class Work:
    """Counts its calls, each of which ends when the test allows it."""

    def __init__(self) -> None:
        self.calls = 0
        self.cancelled = 0
        self.may_end = asyncio.Event()
        self.fails = False

    async def run(self) -> int:
        self.calls += 1
        try:
            await self.may_end.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.fails:
            raise ValueError("refused")
        return self.calls


async def joined(
    flights: SingleFlight[str, int], work: Work, *keys: str
) -> list[asyncio.Task[int]]:
    tasks = [asyncio.create_task(flights.join(key, work.run)) for key in keys]
    while work.calls < len(set(keys)):
        await asyncio.sleep(0)
    return tasks


async def test_callers_of_one_key_share_a_call_and_the_next_one_starts_anew() -> None:
    flights: SingleFlight[str, int] = SingleFlight()
    work = Work()
    tasks = await joined(flights, work, "a", "a", "a")
    work.may_end.set()
    assert await asyncio.gather(*tasks) == [1, 1, 1]
    assert "a" not in flights
    assert await flights.join("a", work.run) == 2


async def test_keys_do_not_share() -> None:
    flights: SingleFlight[str, int] = SingleFlight()
    work = Work()
    tasks = await joined(flights, work, "a", "b")
    work.may_end.set()
    await asyncio.gather(*tasks)
    assert work.calls == 2


async def test_every_waiter_gets_the_error_and_a_failure_is_not_kept() -> None:
    flights: SingleFlight[str, int] = SingleFlight()
    work = Work()
    work.fails = True
    tasks = await joined(flights, work, "a", "a")
    work.may_end.set()
    found = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(one) for one in found] == [ValueError, ValueError]
    work.fails = False
    assert await flights.join("a", work.run) == 2


async def test_a_waiter_that_leaves_cancels_the_call_only_if_it_is_the_last() -> None:
    flights: SingleFlight[str, int] = SingleFlight()
    work = Work()
    first, second = await joined(flights, work, "a", "a")
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert "a" in flights
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    while work.cancelled == 0:
        await asyncio.sleep(0)
    assert "a" not in flights


async def test_a_call_without_waiters_can_be_finished_for_later_callers() -> None:
    flights: SingleFlight[str, int] = SingleFlight(finish_unused=True)
    work = Work()
    (waiter,) = await joined(flights, work, "a")
    waiter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter
    (later,) = await joined(flights, work, "a")
    work.may_end.set()
    assert await later == 1
    assert work.calls == 1
