"""Retries a run: creates a run over the pairs that did not succeed."""

from uuid import UUID

from sqlalchemy import select
from sqlmodel import col

from core.db.database import Reader, Writer
from core.db.tables import EvalRun, EvalRunTarget, Score
from core.errors import Conflict, Invalid
from core.ids import ProjectId, ScoreStatus
from core.queries import chosen_pairs, run_pairs, run_rows, run_targets
from core.queries.chosen_pairs import Origin


async def create(db: Writer, project_id: ProjectId, run_id: UUID) -> EvalRun:
    """Creates the new run, which also has the pairs that a stopped run never judged.

    Raises NotFound, Conflict while the run is open, and Invalid if every pair succeeded or the
    run is being deleted by age.
    """
    old = await run_rows.lock(db, project_id, run_id)
    if not old.status.terminal:
        raise Conflict("This run is still open; retry it when it has ended.")
    await run_targets.check_whole(db, old)
    left = await _without_success(db, project_id, old)
    gone = await run_targets.deleted(
        db, project_id, old.target_type, [target for target, _ in left]
    )
    left = [(target, metrics) for target, metrics in left if target not in gone]
    if not left:
        raise Invalid("This run has no failed pairs to retry.")
    return await chosen_pairs.create_run(
        db, old, left, Origin("Retry", "retry_of"), fresh=old.fresh
    )


async def _without_success(
    db: Reader, project_id: ProjectId, run: EvalRun
) -> list[tuple[str, list[str]]]:
    targets = await db.execute(
        select(col(EvalRunTarget.target_id), col(EvalRunTarget.metrics))
        .where(col(EvalRunTarget.run_id) == run.id)
        .order_by(col(EvalRunTarget.seq))
    )
    done = await db.execute(
        select(col(Score.target_id), col(Score.name)).where(
            *run_pairs.of_run(project_id, run), col(Score.status) != ScoreStatus.FAILED
        )
    )
    succeeded = {(target, metric) for target, metric in done}
    left = [
        (target, [m for m in metrics or run.metric_names if (target, m) not in succeeded])
        for target, metrics in targets
    ]
    return [(target, metrics) for target, metrics in left if metrics]
