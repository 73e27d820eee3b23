"""What a session sees while others write."""

from sqlalchemy import func, select

from core.database import Database, Reader
from core.tables import Project
from tests.conftest import make_project


async def count(db: Reader) -> int:
    return await db.scalar(select(func.count()).select_from(Project)) or 0


async def test_a_reader_sees_the_store_as_it_was_when_it_first_looked(database: Database) -> None:
    await make_project(database, "before")
    async with database.read() as db:
        assert await count(db) == 1
        await make_project(database, "meanwhile")
        assert await count(db) == 1
    async with database.read() as db:
        assert await count(db) == 2


async def test_statements_that_stand_alone_hold_nothing_between_them(database: Database) -> None:
    async with database.read_once() as db:
        assert await count(db) == 0
        await make_project(database, "meanwhile")
        assert await count(db) == 1


async def test_after_a_statement_alone_the_same_connection_reads_snapshots(
    database: Database,
) -> None:
    async with database.read_once() as db:
        assert await count(db) == 0
    async with database.read() as db:
        assert await count(db) == 0
        await make_project(database, "meanwhile")
        assert await count(db) == 0
