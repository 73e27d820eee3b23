import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, inspect

from core import migrations
from core.db.database import Database
from core.db.tables import metadata
from core.errors import Misconfigured


def difference(connection: Connection) -> list[object]:
    return list(compare_metadata(MigrationContext.configure(connection), metadata))


def table_names(connection: Connection) -> set[str]:
    return set(inspect(connection).get_table_names())


async def test_the_migrations_build_exactly_the_tables_of_the_code(database: Database) -> None:
    async with database.engine.connect() as connection:
        assert await connection.run_sync(difference) == []


async def test_every_migration_can_be_taken_back_and_made_again(database: Database) -> None:
    await migrations.downgrade(database, "base")
    async with database.engine.connect() as connection:
        assert await connection.run_sync(table_names) <= {"alembic_version"}
    await migrations.upgrade(database)
    async with database.engine.connect() as connection:
        assert set(metadata.tables) <= await connection.run_sync(table_names)


async def test_an_old_schema_is_refused_with_the_command_that_mends_it(
    database: Database,
) -> None:
    await migrations.check(database)
    await migrations.downgrade(database, "base")
    with pytest.raises(Misconfigured, match=r"python -m core\.migrations"):
        await migrations.check(database)
