"""Bounded concurrency inside one activity."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

Job = TypeVar("Job")


async def in_lanes(
    jobs: Iterable[Job], work: Callable[[Job], Awaitable[None]], *, width: int
) -> list[BaseException]:
    """Works on at most `width` jobs at once and answers the errors that ended it.

    After the first error nothing new is begun, but what is under way is finished: it
    may have been paid for already. Cancellation ends everything at once.
    """
    left = iter(jobs)
    errors: list[BaseException] = []

    async def lane() -> None:
        for job in left:
            await work(job)
            if errors:
                return

    lanes = {asyncio.create_task(lane()) for _ in range(width)}
    pending = lanes
    try:
        while pending:
            done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_EXCEPTION)
            errors += [error for task in done if (error := task.exception()) is not None]
    finally:
        for task in pending:
            task.cancel()
    return errors
