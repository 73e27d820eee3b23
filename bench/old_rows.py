"""Fills a database with old traces by copying rows in SQL, which is faster than inserting them."""

from datetime import datetime
from typing import Final

from sqlalchemy import Table, text

from bench import filled_store
from core.db.database import Database
from core.db.tables import metadata
from core.ids import ProjectId

BASE: Final = 10_000
"""Traces that are inserted; the others are their copies, with other ids."""

_IDS: Final = {
    "trace": ("id",),
    "span": ("id", "trace_id"),
    "trace_tag": ("trace_id",),
    "score": ("id",),
}
"""The columns with new ids, by table."""

_NEW_ID: Final = {
    # The first 24 digits of an id are random; the last eight are the number of the copy.
    "sqlite": "substr({0}, 1, 24) || printf('%08x', :copy)",
    "postgresql": "(left(replace(CAST({0} AS text), '-', ''), 24) "
    "|| lpad(to_hex(CAST(:copy AS integer)), 8, '0'))::uuid",
}
_NEW_TARGET: Final = {
    "sqlite": "substr(target_id, 1, 28) || printf('%08x', :copy)",
    "postgresql": "left(target_id, 28) || lpad(to_hex(CAST(:copy AS integer)), 8, '0')",
}


async def fill(database: Database, project_id: ProjectId, traces: int, *, last: datetime) -> None:
    """Stores about `traces` traces that arrived in the year before `last`.

    Each has a span, two tags and three scores.
    """
    base = min(BASE, traces)
    await filled_store.fill(database, project_id, base, last)
    kind = database.engine.dialect.name
    async with database.write() as db:
        await db.execute(text("DELETE FROM score WHERE target_type = 'SESSION'"))
        await db.execute(text("UPDATE trace SET session_id = NULL, size_bytes = 1000"))
        for name in _IDS:
            copied = f"CREATE TABLE first_{name} AS SELECT * FROM {name}"  # noqa: S608  our tables
            await db.execute(text(copied))
    statements = [text(_copying(kind, metadata.tables[name])) for name in _IDS]
    for copy in range(1, traces // base):
        async with database.write() as db:
            for statement in statements:
                await db.execute(statement, {"copy": copy})
    async with database.write() as db:
        for name in _IDS:
            await db.execute(text(f"DROP TABLE first_{name}"))
    async with database.engine.connect() as connection:
        await connection.exec_driver_sql("ANALYZE")


def _copying(kind: str, table: Table) -> str:
    new = {column: _NEW_ID[kind].format(column) for column in _IDS[table.name]}
    if table.name == "score":
        new["target_id"] = _NEW_TARGET[kind]
    names = [column.name for column in table.columns]
    values = ", ".join(new.get(name, name) for name in names)
    return f"INSERT INTO {table.name} ({', '.join(names)}) SELECT {values} FROM first_{table.name}"  # noqa: S608  our tables
