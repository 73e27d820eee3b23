"""Opens a transaction that ends a run without waiting for later writers of scores."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

from core.db import dialect
from core.db.database import Database, Writer
from core.ids import ProjectId
from core.queries import run_stops


@asynccontextmanager
async def ending(
    database: Database, project_id: ProjectId, run_id: UUID | None = None
) -> AsyncIterator[Writer]:
    """The transaction that cancels, deletes or ends the run, or all runs of the project.

    From the start of the block no score of the run is stored, even if the block raises. A database
    with a single writer needs no stop.
    """
    if not dialect.is_single_writer(database.engine):
        async with database.write() as db:
            await run_stops.stop(db, project_id, run_id)
    async with database.write() as db:
        yield db
