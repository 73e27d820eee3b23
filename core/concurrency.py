"""Bounded concurrency, and cancellation that is never lost.

Workflow code uses `workflows.concurrency`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final, TypeVar

Job = TypeVar("Job")

CANCEL_AGAIN_SECONDS: Final = 1.0
"""How long a cancelled task may take before it is cancelled again."""


async def run_bounded(
    jobs: Iterable[Job], work: Callable[[Job], Awaitable[None]], *, width: int
) -> list[BaseException]:
    """Works on at most `width` jobs at once, and returns the errors that stopped it.

    After the first error no further job begins, but open jobs are finished, because their calls may
    have been paid for. Cancellation ends all jobs at once; all have ended when it is raised.
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
        await cancel_and_wait(*pending)
    return errors


async def cancel_and_wait(*tasks: asyncio.Task[Any]) -> None:
    """Cancels the tasks until all have ended; raises none of their errors.

    One cancellation may not be enough: libraries lose some, for instance asyncio.wait_for before
    Python 3.12, and clients that translate a cancellation into an error of their own.
    """
    pending = {task for task in tasks if not task.done()}
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=CANCEL_AGAIN_SECONDS)
    for task in tasks:
        if not task.cancelled():
            # Without this call, asyncio reports the error as never retrieved.
            task.exception()


def raise_if_cancelled() -> None:
    """Raises CancelledError if a library has replaced the cancellation of this task."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
