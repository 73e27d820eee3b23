import asyncio

import pytest

from core.concurrency import cancel_and_wait, raise_if_cancelled, run_bounded
from core.fair_slots import FairSlots
from core.periodic import repeating


async def test_no_more_jobs_than_lanes_are_under_way_and_all_are_done() -> None:
    under_way, most, done = 0, 0, []

    async def work(job: int) -> None:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0)
        under_way -= 1
        done.append(job)

    assert await run_bounded(range(10), work, width=3) == []
    assert sorted(done) == list(range(10))
    assert most == 3


async def test_after_an_error_what_is_under_way_ends_and_nothing_new_begins() -> None:
    failed, done = asyncio.Event(), []

    async def work(job: int) -> None:
        if job == 0:
            failed.set()
            raise ValueError("first")
        await failed.wait()
        await asyncio.sleep(0.01)
        done.append(job)

    [error] = await run_bounded(range(10), work, width=3)
    assert str(error) == "first"
    assert done == [1, 2]


async def test_cancelling_ends_everything_at_once() -> None:
    begun, ended = asyncio.Event(), []

    async def work(job: int) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(job)

    task = asyncio.create_task(run_bounded(range(10), work, width=2))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.sleep(0)
    assert sorted(ended) == [0, 1]


async def test_a_cancelled_caller_ends_after_its_lanes() -> None:
    begun, may_end, ending, ended = asyncio.Event(), asyncio.Event(), asyncio.Event(), []

    async def work(job: int) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ending.set()
            await may_end.wait()
            ended.append(job)

    task = asyncio.create_task(run_bounded(range(10), work, width=2))
    await begun.wait()
    task.cancel()
    await ending.wait()
    may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert sorted(ended) == [0, 1]


class Deaf:
    """Work that loses its first cancellation, as some libraries do."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.lost = 0

    async def __call__(self) -> None:
        self.begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            if self.lost:
                raise
            self.lost += 1


@pytest.mark.slow
async def test_a_task_that_loses_a_cancellation_is_cancelled_again() -> None:
    deaf = Deaf()

    async def forever() -> None:
        while True:
            await deaf()

    task = asyncio.create_task(forever())
    await deaf.begun.wait()
    async with asyncio.timeout(5):
        await cancel_and_wait(task)
    assert (task.cancelled(), deaf.lost) == (True, 1)


@pytest.mark.slow
async def test_periodic_work_that_loses_a_cancellation_ends() -> None:
    deaf = Deaf()
    async with asyncio.timeout(5), repeating(deaf, every=60, at_once=True):
        await deaf.begun.wait()
    assert deaf.lost == 1


async def test_a_cancellation_that_a_library_replaced_is_raised_again() -> None:
    begun = asyncio.Event()

    async def replaced() -> None:
        try:
            begun.set()
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise_if_cancelled()

    task = asyncio.create_task(replaced())
    await begun.wait()
    await cancel_and_wait(task)
    assert task.cancelled()
    raise_if_cancelled()  # does nothing in a task that nobody cancelled


async def test_owners_that_wait_take_turns() -> None:
    slots, done, go_on = FairSlots(1), [], asyncio.Event()

    async def work(owner: str, number: int) -> None:
        async with slots.slot(owner):
            await go_on.wait()
            done.append((owner, number))

    asked = [("a", 1), ("a", 2), ("a", 3), ("b", 1), ("c", 1), ("b", 2)]
    tasks = [asyncio.create_task(work(*one)) for one in asked]
    await asyncio.sleep(0)
    go_on.set()
    await asyncio.gather(*tasks)
    assert done == [("a", 1), ("a", 2), ("b", 1), ("c", 1), ("a", 3), ("b", 2)]


async def test_a_slot_outlives_the_cancellation_of_those_who_wait_for_it() -> None:
    slots, go_on = FairSlots(1), asyncio.Event()

    async def work() -> None:
        async with slots.slot("a"):
            await go_on.wait()

    first, gone, cancelled_late, last = (asyncio.create_task(work()) for _ in range(4))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.sleep(0)
    go_on.set()
    await first  # Its slot goes to `cancelled_late` in the same moment.
    cancelled_late.cancel()
    async with asyncio.timeout(5):
        await last
        await work()
