"""Periodic work of a process."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from sqlalchemy.exc import SQLAlchemyError

from core.concurrency import cancel_and_wait
from core.errors import AssayError
from core.telemetry.error_text import described

log = logging.getLogger("assay.periodic")


@asynccontextmanager
async def repeating(
    work: Callable[[], Awaitable[None]], *, every: float, at_once: bool = False
) -> AsyncIterator[None]:
    """Repeats the work every `every` seconds while the block runs.

    An error ends one round, never the loop: the next round tries again.
    """

    async def repeat() -> None:
        failing: type[Exception] | None = None
        if not at_once:
            await asyncio.sleep(every)
        while True:
            try:
                await work()
                failing = None
            except Exception as error:  # noqa: BLE001 - logged; nobody would notice the loop's end
                if type(error) is not failing:
                    _log(error)
                failing = type(error)
            await asyncio.sleep(every)

    task = asyncio.create_task(repeat())
    try:
        yield
    finally:
        await cancel_and_wait(task)


def _log(error: Exception) -> None:
    """Logs each kind of error once, so that an outage does not fill the log."""
    if isinstance(error, AssayError | SQLAlchemyError | OSError):
        log.warning("%s", error.message if isinstance(error, AssayError) else described(error))
    else:
        log.error("Unexpected error in periodic work", exc_info=error)
