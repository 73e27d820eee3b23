"""Bounded concurrency for workflow code."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

Job = TypeVar("Job")


async def run_window(
    take: Callable[[], Awaitable[Job | None]],
    work: Callable[[Job], Awaitable[None]],
    *,
    width: int,
) -> None:
    """Works on at most `width` jobs at once, taking the next as soon as one is done.

    `take` answers None when there is nothing left.

    The first error cancels the rest, waits for them to end, and is raised; so does
    cancellation. Lanes are kept in a list because workflow code must be replayed in
    the same order: asyncio.TaskGroup cancels its tasks in the order of a set.
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
