import os
import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, inspect, text

from core import migrations
from core.db.database import Database
from core.db.tables import metadata
from core.errors import Misconfigured

ROOT = Path(__file__).parents[3]


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


async def test_a_schema_of_a_newer_release_is_named(sqlite: Database) -> None:
    async with sqlite.write() as db:
        await db.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    for work in (migrations.check, migrations.upgrade):
        with pytest.raises(Misconfigured, match="schema version 9999, which is newer than"):
            await work(sqlite)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"ASSAY_DATABASE_POOL": "many"}, "ASSAY_DATABASE_POOL: Input should be a valid integer"),
        ({"ASSAY_DATABASE_URL": "postgresql://a:pw@127.0.0.1:1/x"}, "Check ASSAY_DATABASE_URL"),
    ],
)
def test_the_command_says_in_one_line_why_it_cannot_migrate(
    variables: dict[str, str], message: str, tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "core.migrations"],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert "pw" not in done.stderr
