"""Publishes in the store what this worker offers and when it was last alive."""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

from sqlalchemy.exc import SQLAlchemyError

from core import clock
from core.db.database import Database
from core.errors import Unavailable
from core.periodic import repeating
from core.queries import workers
from core.telemetry.serving_state import OWN_STATE, ServingState
from core.temporal.process_identity import process_identity
from evals.judges.protocol import Judges

PUBLISH_SECONDS: Final = 30.0

log = logging.getLogger("assay.worker")


Pollers = Callable[[], Awaitable[set[str]]]


async def _polls(pollers: Pollers) -> bool:
    """Whether Temporal sees this worker polling; False if Temporal is unavailable."""
    try:
        return process_identity() in await pollers()
    except Unavailable:
        return False


@asynccontextmanager
async def presence(
    database: Database,
    judges: Judges,
    pollers: Pollers,
    *,
    state: ServingState = OWN_STATE,
    judge_max_per_second: float | None = None,
) -> AsyncIterator[None]:
    """Publishes at once and then periodically while the block runs.

    Never publishes a key.

    `pollers` returns the workers that poll Temporal; `state` learns what both confirm.
    """
    started_at = clock.now()
    warned: set[str] = set()

    async def publish() -> None:
        polls = await _polls(pollers)
        async with database.write() as db:
            await workers.publish(
                db,
                worker_id=process_identity(),
                started_at=started_at,
                default_model=judges.default_model,
                providers=judges.providers(),
            )
            others = await workers.publish_rate(db, process_identity(), judge_max_per_second)
            if polls:
                await workers.confirm_polling(db, process_identity())
        state.recorded()
        if polls:
            state.seen_polling()
        if new := sorted(others.keys() - warned):
            warned.update(new)
            log.warning(
                "%s set another ASSAY_JUDGE_MAX_PER_SECOND than this worker. Temporal keeps the "
                "one it heard last; give all workers the same.",
                ", ".join(new),
            )

    async def beat() -> None:
        await database.write_at_once(
            lambda db: workers.beat(db, process_identity(), judges.throttles())
        )
        state.recorded()

    await publish()
    async with (
        repeating(publish, every=PUBLISH_SECONDS),
        repeating(beat, every=workers.BEAT_SECONDS),
    ):
        yield
    state.stopped()
    try:
        async with database.write() as db:
            await workers.withdraw(db, process_identity())
    except (SQLAlchemyError, OSError) as error:
        # Other workers notice the missing heartbeat within seconds anyway.
        log.warning("The database cannot record that this worker stops: %s", type(error).__name__)
