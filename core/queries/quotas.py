"""Counts what the quotas of a project limit."""

from datetime import timedelta

from sqlalchemy import func, select
from sqlmodel import col

from core import clock
from core.db.database import Reader
from core.db.tables import EvalMonitor, EvalRun, Trace
from core.ids import ProjectId, TargetType
from core.queries.run_rows import UNDER_WAY, WAITING
from core.run_spec import RunQuota


async def why_no_run(db: Reader, project_id: ProjectId, quota: RunQuota) -> str | None:
    """The reason why the project may not open another run now; None if it may."""
    most = quota.unfinished_runs
    if await unfinished_runs(db, project_id, at_most=most) >= most:
        return quota.too_many_runs
    if await pairs_of_a_day(db, project_id) >= quota.pairs_per_day:
        return quota.too_many_pairs
    return None


async def unfinished_runs(db: Reader, project_id: ProjectId, *, at_most: int) -> int:
    """The number of unfinished runs, counted up to `at_most`."""
    # Each has an index of its own. No index has both, and a project may have a million ended runs.
    waiting, under_way = (
        select(func.count())
        .select_from(
            select(1).where(col(EvalRun.project_id) == project_id, *state).limit(at_most).subquery()
        )
        .scalar_subquery()
        for state in (WAITING, UNDER_WAY)
    )
    return min(at_most, await db.scalar(select(waiting + under_way)) or 0)


async def pairs_of_a_day(db: Reader, project_id: ProjectId) -> int:
    """The number of pairs in runs that were opened in the last 24 hours."""
    pairs = col(EvalRun.total_targets) * func.json_array_length(col(EvalRun.metric_names))
    since = clock.now() - timedelta(days=1)
    found = select(func.sum(pairs)).where(
        col(EvalRun.project_id) == project_id,
        # For the index by project, type and time.
        col(EvalRun.target_type).in_(list(TargetType)),
        col(EvalRun.created_at) >= since,
    )
    return int(await db.scalar(found) or 0)


async def monitors(db: Reader, project_id: ProjectId) -> int:
    found = select(func.count()).where(col(EvalMonitor.project_id) == project_id)
    return await db.scalar(found) or 0


async def stored_bytes(db: Reader, project_id: ProjectId) -> int:
    """Stored bytes of the project's traces."""
    found = select(func.sum(col(Trace.size_bytes))).where(col(Trace.project_id) == project_id)
    return int(await db.scalar(found) or 0)
