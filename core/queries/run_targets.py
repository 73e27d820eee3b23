"""Targets of a run that were deleted: by hand while the run was open, or by age with the run."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import delete, func, select
from sqlmodel import col

from core.db import paging
from core.db.database import Reader, Writer
from core.db.tables import EvalRun, EvalRunTarget, Score
from core.errors import Invalid, NotFound
from core.ids import ProjectId, RunStatus, TargetType
from core.queries import run_pairs, run_rows, session_reads, trace_reads


async def deleted(
    db: Reader, project_id: ProjectId, target_type: TargetType, target_ids: Sequence[str]
) -> set[str]:
    """The targets of the run that no longer exist."""
    if target_type is TargetType.SESSION:
        return set(await session_reads.unknown_ids(db, project_id, target_ids))
    ids = [UUID(target) for target in target_ids]
    return {str(gone) for gone in await trace_reads.unknown_ids(db, project_id, ids)}


async def check_whole(db: Reader, run: EvalRun) -> None:
    """Raises Invalid if deletion by age has begun to delete this finished run.

    A large run is deleted in many transactions. Its targets go first, so a run with fewer targets
    than its row counts may have lost scores.
    """
    left = await db.scalar(
        select(func.count()).select_from(EvalRunTarget).where(col(EvalRunTarget.run_id) == run.id)
    )
    if (left or 0) < run.total_targets:
        raise Invalid(f"Run {run.id} is being deleted; its other scores cannot be used.")


async def finish(
    db: Writer,
    project_id: ProjectId,
    run_id: UUID,
    *,
    status: RunStatus,
    error_message: str | None,
) -> EvalRun | None:
    """Like `run_rows.finish`, but deleted targets do not count as missing scores."""
    try:
        row = await run_rows.lock(db, project_id, run_id)
    except NotFound:
        return None
    if not row.status.terminal:
        exact = await run_rows.counts(db, project_id, row)
        if status is RunStatus.COMPLETED and exact.evaluated < row.total_targets:
            await drop_deleted(db, row)
        await run_rows.close(db, row, exact, status=status, error_message=error_message)
    return row


async def drop_deleted(db: Writer, run: EvalRun) -> None:
    """Removes deleted targets without scores from the run. `run` is locked."""
    scored = select(col(Score.target_id)).where(*run_pairs.of_run(ProjectId(run.project_id), run))
    rows = await db.scalars(
        select(col(EvalRunTarget.target_id)).where(
            col(EvalRunTarget.run_id) == run.id, col(EvalRunTarget.target_id).not_in(scored)
        )
    )
    deleted_ids = await deleted(db, ProjectId(run.project_id), run.target_type, list(rows))
    for chunk in paging.chunks(sorted(deleted_ids)):
        await db.execute(
            delete(EvalRunTarget).where(
                col(EvalRunTarget.run_id) == run.id, col(EvalRunTarget.target_id).in_(chunk)
            )
        )
    run.total_targets -= len(deleted_ids)
