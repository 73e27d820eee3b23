"""Opens the database for a process, and translates driver errors."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy.exc import SQLAlchemyError

from core import migrations
from core.db.database import Database
from core.errors import Unavailable
from core.settings import Settings


@asynccontextmanager
async def open_database(settings: Settings) -> AsyncIterator[Database]:
    """Opens the database at the newest schema.

    Raises Unavailable, or Misconfigured for an old schema.
    """
    database = Database(settings.database, pool_size=settings.database_pool)
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
