"""The audit log: who created, changed, cancelled or deleted what."""

from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID, uuid4

from sqlalchemy import delete, select
from sqlmodel import col

from core import clock
from core.db import paging
from core.db.database import Reader, Writer
from core.db.tables import AuditEntry
from core.ids import ProjectId

MAX_PRUNED: Final = 1000
"""Maximum number of entries per deleting transaction."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """`actor` is the name of the key; `command line` without a key."""

    action: str
    actor: str = "command line"
    key_id: UUID | None = None
    project_id: UUID | None = None
    target: str | None = None
    request_id: str | None = None


async def record(db: Writer, action: Action) -> None:
    db.add(AuditEntry(id=uuid4(), created_at=clock.now(), **asdict(action)))
    await db.flush()


async def prune(db: Writer, *, older_than_days: int, limit: int = MAX_PRUNED) -> int:
    """Deletes up to `limit` older entries; returns their number."""
    old = (
        select(col(AuditEntry.id))
        .where(col(AuditEntry.created_at) < clock.now() - timedelta(days=older_than_days))
        .limit(limit)
    )
    ids = list(await db.scalars(old))
    await db.execute(delete(AuditEntry).where(col(AuditEntry.id).in_(ids)))
    return len(ids)


async def page(
    db: Reader, page: paging.Page, *, project_id: ProjectId | None
) -> tuple[list[AuditEntry], int]:
    """Entries of one project or all projects, newest first, and the total."""
    query = select(AuditEntry).order_by(
        col(AuditEntry.created_at).desc(), col(AuditEntry.id).desc()
    )
    if project_id is not None:
        query = query.where(col(AuditEntry.project_id) == project_id)
    return await paging.fetch(db, query, page)
