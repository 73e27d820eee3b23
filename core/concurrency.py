"""Bounded concurrency. Workflow code uses `workflows.concurrency`."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

Job = TypeVar("Job")


async def run_bounded(
    jobs: Iterable[Job], work: Callable[[Job], Awaitable[None]], *, width: int
) -> list[BaseException]:
    """Works on at most `width` jobs at once, and returns the errors that stopped it.

    After the first error no further job begins, but open jobs are finished, because their calls may
    have been paid for. Cancellation ends all jobs at once.
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
