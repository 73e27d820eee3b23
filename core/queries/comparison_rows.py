"""Rows of comparisons: request, status and result."""

from typing import Any, Final
from uuid import UUID, uuid4

from sqlalchemy import delete, select, update
from sqlmodel import col

from core import clock
from core.db import paging
from core.db.database import Reader, Writer
from core.db.paging import Page
from core.db.tables import Comparison, EvalRun
from core.errors import NotFound
from core.ids import ProjectId, RunStatus

_NEWEST_READ: Final = 50
"""Maximum number of comparisons of the same two runs that are searched for equal settings."""


async def create(
    db: Writer,
    project_id: ProjectId,
    runs: tuple[EvalRun, EvalRun],
    *,
    settings: dict[str, Any],
    result: dict[str, Any] | None,
) -> Comparison:
    """A comparison without a result is PENDING."""
    row = Comparison(
        id=uuid4(),
        project_id=project_id,
        baseline_run_id=runs[0].id,
        candidate_run_id=runs[1].id,
        settings=settings,
        result=result or {},
        status=RunStatus.PENDING if result is None else RunStatus.COMPLETED,
        created_at=clock.now(),
    )
    db.add(row)
    await db.flush()
    return row


async def begin(db: Writer, project_id: ProjectId, comparison_id: UUID) -> Comparison:
    """Marks the comparison as begun. Raises NotFound."""
    row = await get(db, project_id, comparison_id)
    if row.status is RunStatus.PENDING:
        row.status = RunStatus.RUNNING
    return row


async def end(
    db: Writer,
    project_id: ProjectId,
    comparison_id: UUID,
    *,
    result: dict[str, Any] | None = None,
    error_message: str | None = None,
) -> None:
    """Stores the outcome, once. No effect if the comparison was deleted meanwhile."""
    status = RunStatus.FAILED if result is None else RunStatus.COMPLETED
    await db.execute(
        update(Comparison)
        .where(
            col(Comparison.project_id) == project_id,
            col(Comparison.id) == comparison_id,
            col(Comparison.status).in_([RunStatus.PENDING, RunStatus.RUNNING]),
        )
        .values(status=status, result=result or {}, error_message=error_message)
    )


async def get(db: Reader, project_id: ProjectId, comparison_id: UUID) -> Comparison:
    """Raises NotFound."""
    row = await db.scalar(
        select(Comparison).where(
            col(Comparison.project_id) == project_id, col(Comparison.id) == comparison_id
        )
    )
    if row is None:
        raise NotFound("comparison", comparison_id)
    return row


async def find(
    db: Reader,
    project_id: ProjectId,
    runs: tuple[UUID, UUID],
    settings: dict[str, Any],
    *,
    failed: bool = False,
) -> Comparison | None:
    """The newest comparison of the two runs with these settings that did not fail, else the newest
    failed one.
    """
    is_failed = col(Comparison.status) == RunStatus.FAILED
    rows = await db.scalars(
        select(Comparison)
        .where(
            col(Comparison.project_id) == project_id,
            col(Comparison.baseline_run_id) == runs[0],
            col(Comparison.candidate_run_id) == runs[1],
            is_failed if failed else ~is_failed,
        )
        .order_by(col(Comparison.created_at).desc())
        .limit(_NEWEST_READ)
    )
    return next((row for row in rows if settings.items() <= row.settings.items()), None)


async def page(db: Reader, project_id: ProjectId, page: Page) -> tuple[list[Comparison], int]:
    """Newest first, and the total."""
    query = (
        select(Comparison)
        .where(col(Comparison.project_id) == project_id)
        .order_by(col(Comparison.created_at).desc(), col(Comparison.id).desc())
    )
    return await paging.fetch(db, query, page)


async def remove(db: Writer, project_id: ProjectId, comparison_id: UUID) -> None:
    """Raises NotFound."""
    row = await get(db, project_id, comparison_id)
    await db.execute(delete(Comparison).where(col(Comparison.id) == row.id))
