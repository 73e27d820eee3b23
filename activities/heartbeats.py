import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from temporalio import activity


@asynccontextmanager
async def beating(details: Callable[[], tuple[object, ...]] = tuple) -> AsyncIterator[None]:
    """Heartbeats while the block runs, so that a dead worker is noticed in seconds.

    The first beat comes a third of the heartbeat time-out after the start: an
    activity that is done sooner costs no call.
    """
    timeout = activity.info().heartbeat_timeout
    beats = (
        None
        if timeout is None
        else asyncio.create_task(_beat(timeout.total_seconds() / 3, details))
    )
    try:
        yield
    finally:
        if beats is not None:
            beats.cancel()


async def _beat(every: float, details: Callable[[], tuple[object, ...]]) -> None:
    while True:
        await asyncio.sleep(every)
        activity.heartbeat(*details())
