"""Migrates the database of the settings. Exit code 1, and a message, if it cannot be opened."""

import asyncio
import sys

from sqlalchemy.exc import SQLAlchemyError

from core.db import dialect
from core.errors import AssayError
from core.open_database import open_database
from core.settings import Settings


async def main() -> None:
    async with open_database(Settings.read().model_copy(update={"auto_migrate": True})):
        pass


try:
    asyncio.run(main())
except AssayError as error:
    cause = error.__cause__
    if isinstance(cause, SQLAlchemyError) and not dialect.is_transient(cause):
        raise  # A step failed; its statement is needed to find out why.
    sys.exit(error.message)
