"""Projects, the owners of all other rows."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import delete, select, update
from sqlmodel import col

from core import clock
from core.db import dialect, paging
from core.db.database import Reader, Writer
from core.db.tables import ApiKey, EvalRun, Project, metadata
from core.errors import Conflict, NotFound
from core.ids import ProjectId, RunStatus
from core.queries import budget_accounts, run_pauses
from core.retention import RetentionKind

_PROJECT = metadata.tables["project"]
_LIVE = col(Project.deleted_at).is_(None)

MAX_NAME_LENGTH = 128

RETENTION_COLUMNS = tuple(f"retention_{kind}_days" for kind in RetentionKind)


async def find(db: Reader, name: str) -> ProjectId | None:
    row = await db.scalar(select(col(Project.id)).where(col(Project.name) == name, _LIVE))
    return None if row is None else ProjectId(row)


async def name_of(db: Reader, project_id: UUID) -> str | None:
    return await db.scalar(select(col(Project.name)).where(col(Project.id) == project_id, _LIVE))


async def page(
    db: Reader, page: paging.Page, *, only: ProjectId | None
) -> tuple[list[Project], int]:
    """Ordered by name, and the total. `only`: the one project that a bound key may see."""
    found = select(Project).order_by(col(Project.name), col(Project.id))
    if only is not None:
        found = found.where(col(Project.id) == only)
    return await paging.fetch(db, found, page)


async def get(db: Reader, project_id: UUID) -> Project:
    """Raises NotFound."""
    row = await db.get(Project, project_id)
    if row is None:
        raise NotFound("project", project_id)
    return row


async def ensure(db: Writer, name: str) -> ProjectId:
    """The project of this name, created if there is none. Safe to call concurrently."""
    row = {"id": uuid4(), "name": name, "created_at": clock.now(), "deleted_rows": 0}
    await db.execute(dialect.insert_missing(db, _PROJECT), row)
    found = await find(db, name)
    assert found is not None
    return found


async def create(db: Writer, name: str, description: str | None) -> Project:
    """Raises Conflict if the name is taken."""
    await _check_free(db, name)
    row = Project(id=uuid4(), name=name, description=description, created_at=clock.now())
    db.add(row)
    await db.flush()
    return row


async def change(db: Writer, project_id: UUID, changes: Mapping[str, Any]) -> Project:
    """Changes `name`, `description`, `monthly_budget_usd` and `retention_…_days`, if given.

    Raises NotFound, and Conflict if the name is taken or the project is being deleted.
    """
    row = await _lock(db, project_id)
    if row.deleted_at is not None:
        raise Conflict("This project is being deleted.")
    name = changes.get("name")
    if name is not None and name != row.name:
        await _check_free(db, name)
        row.name = name
    if "description" in changes:
        row.description = changes["description"]
    for column in RETENTION_COLUMNS:
        if column in changes:
            setattr(row, column, changes[column])
    if "monthly_budget_usd" in changes:
        row.monthly_budget_usd = changes["monthly_budget_usd"]
        await db.flush()
        await budget_accounts.set_month_limit(db, project_id, row.monthly_budget_usd)
        await run_pauses.resume_within_budget(db, only=project_id)
    await db.flush()
    return row


async def mark_deleted(db: Writer, project_id: UUID) -> Project:
    """From the commit on, no request finds the project.

    The name becomes free, the runs are cancelled, and the bound keys are revoked. Keys that may
    name any project lose their home. A repetition has no effect. Raises NotFound.
    """
    row = await _lock(db, project_id)
    if row.deleted_at is not None:
        return row
    row.deleted_at = clock.now()
    row.name = f"{row.name[: MAX_NAME_LENGTH - 48]} (deleting {row.id})"
    of_project = col(ApiKey.project_id) == project_id
    await db.execute(
        update(ApiKey)
        .where(of_project, ~col(ApiKey.any_project), col(ApiKey.revoked_at).is_(None))
        .values(revoked_at=row.deleted_at)
    )
    await db.execute(
        update(ApiKey).where(of_project, col(ApiKey.any_project)).values(project_id=None)
    )
    await db.execute(
        update(EvalRun)
        .where(
            col(EvalRun.project_id) == project_id,
            col(EvalRun.status).in_([RunStatus.PENDING, RunStatus.RUNNING]),
            col(EvalRun.cancel_requested_at).is_(None),
        )
        .values(cancel_requested_at=row.deleted_at)
    )
    await db.flush()
    return row


async def remove_empty(db: Writer, project_id: UUID) -> None:
    """Deletes the row of a project without content, and the project's revoked keys."""
    await db.execute(delete(ApiKey).where(col(ApiKey.project_id) == project_id))
    await db.execute(delete(Project).where(col(Project.id) == project_id))


async def _lock(db: Writer, project_id: UUID) -> Project:
    row = await db.scalar(select(Project).where(col(Project.id) == project_id).with_for_update())
    if row is None:
        raise NotFound("project", project_id)
    return row


async def _check_free(db: Reader, name: str) -> None:
    if await db.scalar(select(col(Project.id)).where(col(Project.name) == name)) is not None:
        raise Conflict(f"A project named {name!r} already exists.")
