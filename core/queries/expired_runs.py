"""Finished runs past their age, deleted a bounded number of rows at a time."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, delete, select

from core.db.database import Reader, Writer
from core.db.tables import metadata
from core.errors import NotFound
from core.ids import ProjectId, RunStatus, TargetType
from core.queries import budget_accounts, kept_usage, run_rows, stored_figures

_RUN: Final = metadata.tables["eval_run"]
_TARGET: Final = metadata.tables["eval_run_target"]
_SCORE: Final = metadata.tables["score"]
_COMPARISON: Final = metadata.tables["comparison"]
_MEASUREMENT: Final = metadata.tables["noise_measurement"]
_OPEN: Final = (RunStatus.PENDING, RunStatus.RUNNING)


def expired(project_id: ProjectId, before: datetime) -> tuple[ColumnElement[bool], ...]:
    """Predicates for runs that ended before this moment and that nothing reads now."""
    compared = _COMPARISON.c.project_id == project_id, _COMPARISON.c.status.in_(_OPEN)
    measured = (
        _MEASUREMENT.c.project_id == project_id,
        _MEASUREMENT.c.status == RunStatus.RUNNING,
    )
    return (
        _RUN.c.project_id == project_id,
        # Names both types and the time of creation, so that the index by them applies.
        _RUN.c.target_type.in_(list(TargetType)),
        _RUN.c.created_at < before,
        _RUN.c.completed_at < before,
        _RUN.c.id.not_in(select(_COMPARISON.c.baseline_run_id).where(*compared)),
        _RUN.c.id.not_in(select(_COMPARISON.c.candidate_run_id).where(*compared)),
        _RUN.c.id.not_in(select(_MEASUREMENT.c.run_id).where(*measured)),
    )


async def oldest(
    db: Reader, project_id: ProjectId, before: datetime, *, limit: int
) -> Sequence[UUID]:
    """Some runs that ended before this moment."""
    found = await db.scalars(select(_RUN.c.id).where(*expired(project_id, before)).limit(limit))
    return found.all()


async def delete_some(
    db: Writer, project_id: ProjectId, run_id: UUID, before: datetime, *, limit: int
) -> tuple[int, bool]:
    """Deletes up to `limit` rows of the run; the number, and whether the run is gone or must stay.

    Deletes targets first: `run_targets.check_whole` recognizes the run by the missing targets.
    """
    await budget_accounts.lock(db, run_id)
    try:
        await run_rows.lock(db, project_id, run_id)
    except NotFound:
        return 0, True
    # Again, because a comparison may have begun since the run was found.
    where = expired(project_id, before)
    if await db.scalar(select(_RUN.c.id).where(_RUN.c.id == run_id, *where)) is None:
        return 0, True
    count = await _delete(db, _TARGET, _TARGET.c.seq, (_TARGET.c.run_id == run_id,), limit)
    if count < limit:
        count += await _delete_scores(db, project_id, run_id, limit - count)
    if count >= limit:
        return count, False
    await run_rows.remove(db, project_id, run_id, delete_scores=True)
    return count + 1, True


async def _delete_scores(db: Writer, project_id: ProjectId, run_id: UUID, limit: int) -> int:
    of_run = run_rows.scores_of(project_id, run_id)
    ids = list(await db.scalars(select(_SCORE.c.id).where(*of_run).limit(limit)))
    if ids:
        await kept_usage.keep_scores(db, ids, run_stays=False)
        await db.execute(delete(_SCORE).where(_SCORE.c.id.in_(ids)))
        await stored_figures.forget(db, [run_id])
    return len(ids)


async def _delete(
    db: Writer, table: Any, key: Any, where: tuple[ColumnElement[bool], ...], limit: int
) -> int:
    keys = list(await db.scalars(select(key).where(*where).limit(limit)))
    await db.execute(delete(table).where(*where, key.in_(keys)))
    return len(keys)


async def delete_comparisons(
    db: Writer, project_id: ProjectId, before: datetime, *, limit: int
) -> int:
    """Deletes up to `limit` finished comparisons from before this moment; returns their number.

    A comparison began after its runs had ended, so it expires after them; until then its result
    stays readable.
    """
    where = expired_comparisons(project_id, before)
    return await _delete(db, _COMPARISON, _COMPARISON.c.id, where, limit)


def expired_comparisons(project_id: ProjectId, before: datetime) -> tuple[ColumnElement[bool], ...]:
    """Predicates for finished comparisons from before this moment."""
    return (
        _COMPARISON.c.project_id == project_id,
        _COMPARISON.c.created_at < before,
        _COMPARISON.c.status.not_in(_OPEN),
    )
