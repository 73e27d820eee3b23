"""Locks rows of a project."""

from typing import TypeVar
from uuid import UUID

from sqlalchemy import select
from sqlmodel import SQLModel

from core.db.database import Writer
from core.errors import NotFound
from core.ids import ProjectId

Row = TypeVar("Row", bound=SQLModel)


async def lock_row(
    db: Writer, table: type[Row], project_id: ProjectId, row_id: UUID, noun: str
) -> Row:
    """Locks the row until the transaction ends. Raises NotFound with the `noun` in its message."""
    columns = table.__table__.c  # type: ignore[attr-defined]  # SQLModel sets it on table classes
    rows = await db.execute(
        select(table)
        .where(columns.project_id == project_id, columns.id == row_id)
        .with_for_update()
    )
    row: Row | None = rows.scalar_one_or_none()
    if row is None:
        raise NotFound(noun, row_id)
    return row
