"""Stored figures of ended runs, so that their scores are counted once.

A caller that changes or deletes scores must call `forget` in the same transaction.
"""

from collections.abc import Iterable
from typing import Final
from uuid import UUID

from sqlalchemy import null, select, update
from sqlmodel import col

from core.db.database import Writer
from core.db.tables import EvalRun, metadata
from core.ids import ProjectId
from core.queries import run_figures
from core.queries.run_figures import MetricCounts

_RUN: Final = metadata.tables["eval_run"]


async def keep(db: Writer, project_id: ProjectId, run: EvalRun) -> None:
    """Counts the scores of a run that has ended and that the caller has locked."""
    found = await run_figures.counted(db, project_id, run.target_type, [run.id])
    run.figures = as_json(found.get(run.id, {}))


async def keep_counted(db: Writer, run: EvalRun, counts: dict[str, MetricCounts]) -> None:
    """Stores the counts from the transaction that read `run`.

    No effect if the scores have changed since.
    """
    await db.execute(
        update(EvalRun)
        .where(
            col(EvalRun.id) == run.id,
            col(EvalRun.completed_at).is_not(None),
            col(EvalRun.figures_revision) == run.figures_revision,
        )
        .values(figures=as_json(counts))
    )


def as_json(counts: dict[str, MetricCounts]) -> dict[str, object]:
    return {name: one.stored() for name, one in counts.items()}


async def forget(db: Writer, run_ids: Iterable[UUID | None]) -> None:
    """Deletes the figures of the runs whose scores this transaction changed; None is skipped."""
    ids = sorted({run_id for run_id in run_ids if run_id is not None})
    if not ids:
        return
    # Locks in the order of the ids, so that two transactions never deadlock.
    locked = select(col(EvalRun.id)).where(col(EvalRun.id).in_(ids))
    await db.execute(locked.order_by(col(EvalRun.id)).with_for_update())
    await db.execute(
        update(_RUN)
        .where(_RUN.c.id.in_(ids))
        .values(figures=null(), figures_revision=_RUN.c.figures_revision + 1)
    )
