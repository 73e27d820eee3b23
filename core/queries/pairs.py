"""(target, metric) pairs of a run: which are still to be judged, and how each one ended."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, bindparam, func, insert, select
from sqlmodel import col

from core import clock, dialect
from core.database import Reader, Writer
from core.errors import Conflict, Invalid
from core.ids import (
    ProjectId,
    RunId,
    ScoreSource,
    ScoreStatus,
    ScoreType,
    TargetType,
)
from core.queries import runs
from core.queries.targets import ids_key
from core.tables import EvalRun, EvalRunTarget, Score, metadata

_RUN: Final = metadata.tables["eval_run"]


@dataclass(frozen=True, slots=True)
class OpenTarget:
    """A target and those of its metrics that have no score yet; `failed` of the others FAILED."""

    target_id: str
    metrics: list[str]
    failed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NewScore:
    """How a pair ended. `number` None with SUCCESS: the metric does not apply."""

    run_id: UUID
    project_id: UUID
    target_type: TargetType
    target_id: str
    metric: str
    status: ScoreStatus
    reason: str
    number: float | None = None
    environment: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    judge_calls: int = 0
    cached_calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: float | None = 0.0


async def of_targets(
    db: Reader, project_id: ProjectId, run: EvalRun, *, first: int, last: int
) -> list[OpenTarget]:
    """Targets numbered `first` to `last`, both included, in their order."""
    targets = await db.execute(
        select(col(EvalRunTarget.target_id), col(EvalRunTarget.metrics))
        .where(col(EvalRunTarget.run_id) == run.id, col(EvalRunTarget.seq).between(first, last))
        .order_by(col(EvalRunTarget.seq))
    )
    frozen = [(target, metrics or run.metric_names) for target, metrics in targets]
    ended = await _statuses(db, of_run(project_id, run), [target for target, _ in frozen])
    return [
        OpenTarget(
            target_id=target,
            metrics=[m for m in metrics if (target, m) not in ended],
            failed=sum(ended.get((target, m)) is ScoreStatus.FAILED for m in metrics),
        )
        for target, metrics in frozen
    ]


async def status_of(
    db: Reader, project_id: ProjectId, run_id: UUID, *, target_id: str, metric: str
) -> ScoreStatus | None:
    """None: this pair has no score yet."""
    statuses = await _statuses(db, runs.scores_of(project_id, run_id), [target_id])
    return statuses.get((target_id, metric))


def of_run(project_id: ProjectId, run: EvalRun) -> tuple[ColumnElement[bool], ...]:
    """Scores of the run's own targets: the signals of a session run are scores of traces."""
    of_its_type = dialect.checked(col(Score.target_type)) == run.target_type
    return (*runs.scores_of(project_id, run.id), of_its_type)


async def _statuses(
    db: Reader, where: tuple[ColumnElement[bool], ...], target_ids: Sequence[str]
) -> dict[tuple[str, str], ScoreStatus]:
    found = await db.execute(
        select(col(Score.target_id), col(Score.name), col(Score.status)).where(
            *where, col(Score.target_id).in_(target_ids)
        )
    )
    return {(target, metric): status for target, metric, status in found}


async def record(db: Writer, scores: Sequence[NewScore]) -> set[UUID]:
    """Stores each score, unless its pair has one already or its run is over, cancelled or deleted.

    Answers the runs that are still open. The first score of a pair wins, so that
    repeating an activity changes nothing.
    """
    asked = sorted({score.run_id for score in scores})
    found = await db.execute(_OPEN_RUNS, {"asked": asked})
    still_open = set(found.scalars())
    rows = [_row(score) for score in scores if score.run_id in still_open]
    if rows:
        await db.execute(_add_new(db.get_bind().dialect.name), rows)
    return still_open


_OPEN_RUNS: Final = (
    select(_RUN.c.id)
    .where(_RUN.c.id.in_(bindparam("asked", expanding=True)), *runs.OPEN)
    .order_by(_RUN.c.id)
    # Held until commit: a cancel or the final count comes before all of these or after.
    .with_for_update(read=True)
)


@cache
def _add_new(dialect_name: str) -> dialect.Insert:
    return dialect.insert(dialect_name, metadata.tables["score"]).on_conflict_do_nothing(
        index_elements=["eval_run_id", "target_id", "name"]
    )


def _row(score: NewScore) -> dict[str, Any]:
    moment = clock.now()
    value = None if score.number is None else f"{score.number:.4f}".rstrip("0").rstrip(".")
    return {
        "id": uuid4(),
        "project_id": score.project_id,
        "target_type": score.target_type,
        "target_id": score.target_id,
        "name": score.metric,
        "status": score.status,
        "source": ScoreSource.AUTOMATED,
        "data_type": ScoreType.NUMERIC,
        "value": value,
        "number": score.number,
        "reason": score.reason,
        "environment": score.environment,
        "eval_run_id": score.run_id,
        "judge_calls": score.judge_calls,
        "cached_calls": score.cached_calls,
        "prompt_tokens": score.prompt_tokens,
        "completion_tokens": score.completion_tokens,
        "cost_usd": score.cost_usd,
        "metadata": score.metadata,
        "created_at": moment,
        "updated_at": moment,
    }


async def create_retry(db: Writer, project_id: ProjectId, run_id: UUID) -> EvalRun:
    """A new run over the pairs of that one that did not succeed.

    In a run that was stopped early those that were never judged count too.
    Raises NotFound, Conflict while the run goes on, Invalid when nothing is left to retry.
    """
    old = await runs.lock(db, project_id, run_id)
    if not old.status.terminal:
        raise Conflict("This run is still under way; retry it when it has ended.")
    left = await _without_success(db, project_id, old)
    if not left:
        raise Invalid("This run has no failed pairs to retry.")
    new = await runs.create(
        db,
        runs.NewRun(
            id=RunId(uuid4()),
            project_id=project_id,
            target_type=old.target_type,
            name=f"Retry: {old.name or old.id}"[:512],
            metric_names=[m for m in old.metric_names if any(m in ms for _, ms in left)],
            filters=_retried(old, [target for target, _ in left]),
            model=old.model,
            fresh=old.fresh,
        ),
    )
    await db.execute(
        insert(EvalRunTarget),
        [
            {
                "run_id": new.id,
                "seq": seq,
                "target_id": target,
                "pair_count": len(metrics),
                "metrics": metrics,
            }
            for seq, (target, metrics) in enumerate(left)
        ],
    )
    new.total_targets = len(left)
    return new


def _retried(old: EvalRun, target_ids: list[str]) -> dict[str, Any]:
    filters = {"retry_of": str(old.id), ids_key(old.target_type): target_ids}
    weights = old.filters.get("signal_weights")
    return filters if weights is None else filters | {"signal_weights": weights}


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
            *of_run(project_id, run), col(Score.status) != ScoreStatus.FAILED
        )
    )
    succeeded = {(target, metric) for target, metric in done}
    left = [
        (target, [m for m in metrics or run.metric_names if (target, m) not in succeeded])
        for target, metrics in targets
    ]
    return [(target, metrics) for target, metrics in left if metrics]


async def left_in_others(db: Reader, run_id: UUID) -> int:
    """How many pairs of all projects' runs under way, save this one, have no score yet."""
    others = (col(EvalRun.id) != run_id, *runs.OPEN)
    asked = await db.execute(
        select(func.coalesce(func.sum(col(EvalRunTarget.pair_count)), 0))
        .join(EvalRun, col(EvalRun.id) == col(EvalRunTarget.run_id))
        .where(*others)
    )
    ended = await db.execute(
        select(func.count())
        .select_from(Score)
        .join(EvalRun, col(EvalRun.id) == col(Score.eval_run_id))
        .where(*others, col(Score.target_type) == col(EvalRun.target_type))
    )
    return max(0, int(asked.scalar_one()) - ended.scalar_one())


async def count(db: Reader, run_id: UUID) -> int:
    """How many pairs the run has in all."""
    found = await db.execute(
        select(func.coalesce(func.sum(col(EvalRunTarget.pair_count)), 0)).where(
            col(EvalRunTarget.run_id) == run_id
        )
    )
    return int(found.scalar_one())
