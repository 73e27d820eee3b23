"""The open pairs of a run, which clients see as PENDING scores."""

from collections.abc import Mapping, Sequence
from uuid import UUID, uuid5

from sqlalchemy import select
from sqlmodel import col

from core.db.database import Reader
from core.db.tables import EvalRun, EvalRunTarget, Score, Trace
from core.ids import ProjectId, ScoreSource, ScoreStatus, ScoreType, TargetType
from core.queries import run_pairs
from core.queries.run_sampling import ids_key

Target = tuple[str, list[str]]


async def page(
    db: Reader, project_id: ProjectId, run: EvalRun, *, first: int, limit: int
) -> list[Score] | None:
    """One row per open pair of the targets numbered `first` to `first + limit - 1`.

    None after the last target. Before the targets are frozen, only the targets of a run that names
    them are known. The rows are not stored, but their ids are the same in every read.
    """
    targets = await _targets(db, run, first, limit)
    if not targets:
        return None
    ids = [target for target, _ in targets]
    ended = await run_pairs.statuses(db, run_pairs.of_run(project_id, run), ids)
    environments = await _environments(db, project_id, run, ids)
    return [
        _pending(run, target, metric, environment=environments.get(target))
        for target, metrics in targets
        for metric in metrics
        if (target, metric) not in ended
    ]


async def _targets(db: Reader, run: EvalRun, first: int, limit: int) -> list[Target]:
    rows = await db.execute(
        select(col(EvalRunTarget.target_id), col(EvalRunTarget.metrics))
        .where(
            col(EvalRunTarget.run_id) == run.id,
            col(EvalRunTarget.seq).between(first, first + limit - 1),
        )
        .order_by(col(EvalRunTarget.seq))
    )
    frozen = [(target, metrics or run.metric_names) for target, metrics in rows]
    if frozen or run.resolved_at is not None:
        return frozen
    named = run.filters.get(ids_key(run.target_type), [])
    return [(target, run.metric_names) for target in named[first : first + limit]]


async def _environments(
    db: Reader, project_id: ProjectId, run: EvalRun, ids: Sequence[str]
) -> Mapping[str, str | None]:
    if run.target_type is not TargetType.TRACE:
        return {}
    rows = await db.execute(
        select(col(Trace.id), col(Trace.environment)).where(
            col(Trace.project_id) == project_id, col(Trace.id).in_([UUID(one) for one in ids])
        )
    )
    return {str(trace_id): environment for trace_id, environment in rows}


def _pending(run: EvalRun, target: str, metric: str, *, environment: str | None) -> Score:
    return Score(
        id=uuid5(run.id, f"{metric} {target}"),
        project_id=run.project_id,
        target_type=run.target_type,
        target_id=target,
        name=metric,
        status=ScoreStatus.PENDING,
        source=ScoreSource.AUTOMATED,
        data_type=ScoreType.NUMERIC,
        environment=environment,
        eval_run_id=run.id,
        meta={},
        created_at=run.created_at,
        updated_at=run.created_at,
    )
