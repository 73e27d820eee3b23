"""Heartbeats of long activities."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

from temporalio import activity

from activities.judging.attempt import AttemptState, Stage

STORE_SECONDS: Final = 4.0
"""A stage that needs only the store counts as slow after this long."""

_LOOK_SECONDS: Final = 1.0


@asynccontextmanager
async def heartbeating(attempt: AttemptState | None = None) -> AsyncIterator[None]:
    """Sends heartbeats while the block runs, so that Temporal notices a dead worker.

    The first heartbeat is sent after a third of the time-out, because each heartbeat costs a call
    and most pairs end sooner. A pair that waits for the store reports its wait at once.
    """
    timeout = activity.info().heartbeat_timeout
    if timeout is None:
        yield
        return
    every = timeout.total_seconds() / 3
    beats = asyncio.create_task(_beat(every) if attempt is None else _report(every, attempt))
    try:
        yield
    finally:
        beats.cancel()


async def _beat(every: float) -> None:
    while True:
        await asyncio.sleep(every)
        activity.heartbeat()


async def _report(every: float, attempt: AttemptState) -> None:
    clock: Callable[[], float] = asyncio.get_running_loop().time
    last = clock()
    reported: Stage | None = None
    while True:
        await asyncio.sleep(min(every, _LOOK_SECONDS))
        stuck = attempt.stage is not Stage.ASKING and attempt.stage_seconds > STORE_SECONDS
        if clock() - last >= every or (stuck and attempt.stage is not reported):
            activity.heartbeat(attempt.details)
            last, reported = clock(), attempt.stage
