"""Schema versions. `python -m core.migrations` brings the database up to date."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from core.db import dialect
from core.db.database import Database
from core.errors import Misconfigured


def config(connection: Connection | None = None) -> Config:
    """Alembic's configuration, bound to a connection if one is given."""
    made = Config()
    made.set_main_option("script_location", str(Path(__file__).parent))
    made.attributes["connection"] = connection
    return made


async def upgrade(database: Database, revision: str = "head") -> None:
    """Several processes may call this at once. The first process migrates; the others wait.

    Raises Misconfigured for a schema that is newer than this code.
    """
    version = await _version(database)
    if revision == "head" and version == _head():
        return
    _refuse_newer(version)
    async with database.writing_engine.begin() as connection:
        await dialect.lock_for_migration(connection)
        await connection.run_sync(lambda sync: command.upgrade(config(sync), revision))


async def downgrade(database: Database, revision: str) -> None:
    async with database.writing_engine.begin() as connection:
        await dialect.lock_for_migration(connection)
        await connection.run_sync(lambda sync: command.downgrade(config(sync), revision))


async def check(database: Database) -> None:
    """Raises Misconfigured if the schema version differs from the one that this code needs."""
    version, head = await _version(database), _head()
    if version != head:
        _refuse_newer(version)
        raise Misconfigured(
            f"The database is at schema version {version or 'none'}, this code needs {head}. "
            "Run `python -m core.migrations`, or set ASSAY_AUTO_MIGRATE=true."
        )


def _refuse_newer(version: str | None) -> None:
    known = {step.revision for step in ScriptDirectory.from_config(config()).walk_revisions()}
    if version is not None and version not in known:
        raise Misconfigured(
            f"The database is at schema version {version}, which is newer than this code "
            f"({_head()}). Install the newest release, or restore the backup from before its "
            "migration."
        )


def _head() -> str | None:
    return ScriptDirectory.from_config(config()).get_current_head()


async def _version(database: Database) -> str | None:
    async with database.engine.connect() as connection:
        return await connection.run_sync(
            lambda sync: MigrationContext.configure(sync).get_current_revision()
        )
