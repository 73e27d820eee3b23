import asyncio

import pytest

from core.concurrency import run_bounded


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
