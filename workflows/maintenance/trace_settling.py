"""Settles traces whose root span never arrived."""

import logging
from typing import Final

from core.db.database import Database
from core.queries.trace_settling import settle_traces

SETTLE_SECONDS: Final = 30.0

log = logging.getLogger("assay.worker")


async def settle(database: Database, after_seconds: float) -> None:
    settled = await settle_traces(database, after_seconds=after_seconds)
    if settled:
        log.info("Settled %d traces without their root", settled)
