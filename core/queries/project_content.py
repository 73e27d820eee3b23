"""Deletes the content of a project, a bounded number of rows at a time."""

from typing import Final

from sqlalchemy import Table, delete, func, select, tuple_, update
from sqlmodel import col

from core.db.database import Writer
from core.db.tables import Project, metadata
from core.ids import ProjectId

MAX_ROWS_PER_STEP: Final = 500

_KEPT: Final = {"api_key", "audit_entry"}
"""Keys are deleted with the row of the project; the audit log stays."""


def _tables() -> list[Table]:
    """Every table with rows of projects. A table comes before the tables that it refers to."""
    return [
        table
        for table in reversed(metadata.sorted_tables)
        if "project_id" in table.columns and table.name not in _KEPT
    ]


async def delete_some(db: Writer, project_id: ProjectId, *, limit: int = MAX_ROWS_PER_STEP) -> int:
    """Deletes up to `limit` rows and the rows that cascade from them; returns 0 when none is
    left.

    Adds the number to `Project.deleted_rows` in the same transaction.
    """
    for table in _tables():
        key = tuple_(*table.primary_key.columns)
        some = (
            select(*table.primary_key.columns).where(table.c.project_id == project_id).limit(limit)
        )
        count = await db.scalar(select(func.count()).select_from(some.subquery())) or 0
        if count:
            await db.execute(delete(table).where(table.c.project_id == project_id, key.in_(some)))
            await db.execute(
                update(Project)
                .where(col(Project.id) == project_id)
                .values(deleted_rows=col(Project.deleted_rows) + count)
            )
            return count
    return 0
