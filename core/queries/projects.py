"""Projects: everything in the store belongs to one."""

from uuid import UUID, uuid4

from sqlalchemy import select
from sqlmodel import col

from core import clock, dialect
from core.database import Reader, Writer
from core.ids import ProjectId
from core.tables import Project, metadata

_PROJECT = metadata.tables["project"]


async def find(db: Reader, name: str) -> ProjectId | None:
    id = await db.scalar(select(col(Project.id)).where(col(Project.name) == name))
    return None if id is None else ProjectId(id)


async def name_of(db: Reader, project_id: UUID) -> str | None:
    return await db.scalar(select(col(Project.name)).where(col(Project.id) == project_id))


async def ensure(db: Writer, name: str) -> ProjectId:
    """The project of this name, made when there is none. Safe to call at the same time twice."""
    row = {"id": uuid4(), "name": name, "created_at": clock.now()}
    statement = dialect.insert(db.get_bind().dialect.name, _PROJECT).values(row)
    await db.execute(statement.on_conflict_do_nothing())
    id = await db.scalar(select(col(Project.id)).where(col(Project.name) == name))
    assert id is not None
    return ProjectId(id)
