"""The database as every process opens it: one error sentence in place of a driver's."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy.exc import SQLAlchemyError

from core import migrations
from core.database import Database
from core.errors import Unavailable
from core.settings import Settings


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Database]:
    """At the newest schema. Raises Unavailable, or Misconfigured for a schema left old."""
    database = Database(settings.database)
    try:
        try:
            await (migrations.upgrade if settings.auto_migrate else migrations.check)(database)
        except (OSError, SQLAlchemyError) as error:
            raise Unavailable(
                "The database", f"Check ASSAY_DATABASE_URL ({type(error).__name__})."
            ) from error
        yield database
    finally:
        await database.close()
