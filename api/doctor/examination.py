"""All checks of an installation, in an order in which later ones need the earlier ones."""

import asyncio
from collections.abc import Awaitable
from typing import Final

from sqlalchemy.exc import SQLAlchemyError
from temporalio.client import Client
from temporalio.service import RPCError

from api.doctor import database as of_database
from api.doctor import host, retention, temporal
from api.doctor import workers as of_workers
from api.doctor.check_result import CheckResult, Level, problem
from core.db.database import Database
from core.errors import AssayError
from core.settings import Settings
from core.temporal.first_connection import connect_by_settings

_Made = CheckResult | list[CheckResult] | None

CHECK_SECONDS: Final = 10.0
"""How long one check may take."""


async def examine(settings: Settings) -> list[CheckResult]:
    """Opens the database and a client of its own. Changes nothing.

    Raises Misconfigured for settings that cannot be used.
    """
    found = [host.disk(settings.home)]
    absent = of_database.missing_file(settings)
    if absent is not None:
        return [absent, *found]
    database = Database(settings.database, pool_size=settings.database_pool)
    try:
        client = await connect_by_settings(settings, lazy=True)
        usable = await examine_database(settings, database)
        readable = all(one.level is not Level.PROBLEM for one in usable[:2])
        found = [*usable, *found]
        if readable:
            found += await examine_workers(settings, database)
        return found + await examine_temporal(settings, client, database if readable else None)
    finally:
        await database.close()


async def examine_database(settings: Settings, database: Database) -> list[CheckResult]:
    """The first two results say whether the others could be checked."""
    found = await _checked(of_database.DATABASE, of_database.reach(database))
    if found[0].level is Level.PROBLEM:
        return found
    found += await _checked(of_database.MIGRATIONS, of_database.schema(database))
    if found[1].level is Level.PROBLEM:
        return found
    found += await _checked(of_database.DATABASE, of_database.writing(database))
    found += await _checked(of_database.POOL, of_database.pool(database, settings))
    return found + await _checked(of_database.CLOCK, of_database.clocks(database))


async def examine_workers(settings: Settings, database: Database) -> list[CheckResult]:
    found = await _checked(of_workers.WORKERS, of_workers.presence(database))
    found += await _checked(of_workers.KEYS, of_workers.keys(database, settings))
    return found + await _checked(of_workers.TRACERS, of_workers.tracers(database))


async def examine_temporal(
    settings: Settings, client: Client, database: Database | None
) -> list[CheckResult]:
    """`database` None: without the checks that compare both."""
    found = await _checked(temporal.TEMPORAL, temporal.reach(client))
    if found[0].level is Level.PROBLEM:
        return found
    found += await _checked(temporal.NAMESPACE, temporal.namespace(client))
    if found[1].level is Level.PROBLEM:
        return found
    attributes = temporal.attributes(client, registers=settings.temporal_register)
    found += await _checked(temporal.ATTRIBUTES, attributes)
    found += await _checked(temporal.CLOCK, temporal.clocks(client, settings.task_queue))
    if database is None:
        return found
    found += await _checked(temporal.OWNERS, temporal.owner(client, database))
    queues = temporal.queues(client, database, settings.task_queue)
    found += await _checked(temporal.QUEUES, queues)
    by_age = retention.schedule(client, database, settings)
    return found + await _checked(retention.RETENTION, by_age)


async def _checked(
    check: str, work: Awaitable[CheckResult | list[CheckResult] | None]
) -> list[CheckResult]:
    """A check that fails is a result, too; its error may contain anything but its type."""
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            found = await work
    except TimeoutError:
        return [problem(check, f"There was no answer within {CHECK_SECONDS:.0f} s.", _ADVICE)]
    except AssayError as error:
        return [problem(check, error.message, "")]
    except (RPCError, RuntimeError, SQLAlchemyError, OSError) as error:
        kind = error.status.name if isinstance(error, RPCError) else type(error).__name__
        return [problem(check, f"It cannot be checked ({kind}).", _ADVICE)]
    if found is None:
        return []
    return found if isinstance(found, list) else [found]


_ADVICE: Final = "Check that its server runs, its address in the settings, and the network."
