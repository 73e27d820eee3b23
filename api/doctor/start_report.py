"""What is wrong at the start of an API, for its log, and of `assay up`, for its terminal."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from temporalio.client import Client

from api.doctor import host
from api.doctor import workers as of_workers
from api.doctor.check_result import CheckResult, Level, troubles
from api.doctor.examination import examine_database, examine_temporal, examine_workers
from core.concurrency import cancel_and_wait
from core.db.database import Database
from core.settings import Settings

log = logging.getLogger("assay.doctor")


@asynccontextmanager
async def reporting_troubles(
    settings: Settings, database: Database, client: Client
) -> AsyncIterator[None]:
    """Looks once, beside the work of the block, and logs a line per result.

    Workers are left out, because they may start after the API.
    """
    looking = asyncio.create_task(_log_troubles(settings, database, client))
    try:
        yield
    finally:
        await cancel_and_wait(looking)
        if not looking.cancelled():
            looking.result()


async def _log_troubles(settings: Settings, database: Database, client: Client) -> None:
    found = [host.disk(settings.home), *await examine_database(settings, database)]
    for result in troubles(found + await examine_temporal(settings, client, None)):
        level = logging.ERROR if result.level is Level.PROBLEM else logging.WARNING
        log.log(level, "%s: %s", result.check, result.text)


async def troubles_of_stack(settings: Settings, database: Database) -> list[CheckResult]:
    """Without Temporal, which `assay up` has started or reached itself, and without the hint that
    no key was found, which it gives itself.
    """
    found = [host.disk(settings.home), *await examine_database(settings, database)]
    found += await examine_workers(settings, database)
    return [
        result
        for result in troubles(found)
        if result.check != of_workers.KEYS or result.level is Level.PROBLEM
    ]
