"""Bounded concurrency for workflow code."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

Job = TypeVar("Job")


async def run_bounded(
    take: Callable[[], Awaitable[Job | None]],
    work: Callable[[Job], Awaitable[None]],
    *,
    width: int,
) -> None:
    """Works on at most `width` jobs at once, and takes the next one as soon as a job is done.

    `take` returns None if no job is left. The first error, or a cancellation, cancels the other
    jobs, waits for their end, and is raised. Lanes are kept in a list because a replay needs the
    same order; asyncio.TaskGroup cancels its tasks in the order of a set.
    """

    async def lane() -> None:
        while (job := await take()) is not None:
            await work(job)

    lanes = [asyncio.create_task(lane()) for _ in range(width)]
    try:
        await asyncio.gather(*lanes)
    except BaseException:
        for task in lanes:
            task.cancel()
        await asyncio.gather(*lanes, return_exceptions=True)
        raise
