"""Runs that name their targets. The frozen sample has all ids, the row only the first few."""

from typing import Any

from sqlalchemy import select
from sqlmodel import col

from core.content_limits import MAX_LISTED_IDS
from core.db.database import Reader, Writer
from core.db.tables import EvalRun, EvalRunTarget
from core.queries import run_rows, run_sampling
from core.queries.run_rows import NewRun
from core.queries.run_sampling import ids_key


async def create(db: Writer, run: NewRun) -> EvalRun:
    """Like `run_rows.create`. More than `MAX_LISTED_IDS` named targets are frozen at once."""
    key = ids_key(run.spec.target_type)
    named = run.filters.get(key, ())
    if len(named) <= MAX_LISTED_IDS:
        return await run_rows.create(db, run)
    listed = run.filters | {key: named[:MAX_LISTED_IDS]}
    row = await run_rows.create(db, NewRun(spec=run.spec, filters=listed))
    await run_sampling.write_all(db, row, named)
    row.total_targets = len(named)
    return row


def is_cut(run: EvalRun) -> bool:
    """Whether the run may name more targets than its row has."""
    listed = run.filters.get(ids_key(run.target_type), ())
    return len(listed) == MAX_LISTED_IDS < run.total_targets and "retry_of" not in run.filters


async def whole_filters(db: Reader, run: EvalRun) -> dict[str, Any]:
    """The filters with every id that the client named."""
    if not is_cut(run):
        return run.filters
    named = await db.scalars(
        select(col(EvalRunTarget.target_id))
        .where(col(EvalRunTarget.run_id) == run.id)
        .order_by(col(EvalRunTarget.seq))
    )
    return run.filters | {ids_key(run.target_type): list(named)}
