"""The pairs of a run: open pairs, and the outcomes of ended pairs."""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Final
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, bindparam, func, select
from sqlmodel import col

from core import clock, score_values
from core.db import dialect, sql_functions
from core.db.database import Reader, Writer
from core.db.tables import EvalRun, EvalRunTarget, Score, metadata
from core.ids import (
    ProjectId,
    ScoreSource,
    ScoreStatus,
    ScoreType,
    TargetType,
)
from core.open_target import OpenTarget
from core.queries import run_rows, target_holds
from core.usage import Usage

_RUN: Final = metadata.tables["eval_run"]
_SCORE: Final = metadata.tables["score"]
_PAIR: Final = ("eval_run_id", "target_id", "name")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewScore:
    """The outcome of a pair. SUCCESS with `number` None means that the metric does not apply."""

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
    usage: Usage = field(default_factory=Usage)
    of_existing: bool = False
    """True for a score that must not be stored if its trace was deleted meanwhile."""


_NAMED_ALIKE: Final = tuple({field.name for field in fields(NewScore)} & set(_SCORE.columns.keys()))
"""Fields of a new score that are columns of the same name."""


async def of_targets(
    db: Reader, project_id: ProjectId, run: EvalRun, *, first: int, last: int
) -> list[OpenTarget]:
    """The targets numbered `first` to `last`, both included, in order."""
    targets = await db.execute(
        select(col(EvalRunTarget.target_id), col(EvalRunTarget.metrics))
        .where(col(EvalRunTarget.run_id) == run.id, col(EvalRunTarget.seq).between(first, last))
        .order_by(col(EvalRunTarget.seq))
    )
    frozen = [(target, metrics or run.metric_names) for target, metrics in targets]
    ended = await statuses(db, of_run(project_id, run), [target for target, _ in frozen])
    return [
        OpenTarget(
            target_id=target,
            metrics=[m for m in metrics if (target, m) not in ended],
            failed=sum(ended.get((target, m)) is ScoreStatus.FAILED for m in metrics),
        )
        for target, metrics in frozen
    ]


async def of_new_runs(db: Reader, runs: Sequence[EvalRun]) -> dict[UUID, list[OpenTarget]]:
    """All targets of runs without any score, in order."""
    names = {run.id: run.metric_names for run in runs}
    found: dict[UUID, list[OpenTarget]] = {run_id: [] for run_id in names}
    for run_id, target, metrics in await db.execute(_TARGETS, {"runs": list(names)}):
        found[run_id].append(OpenTarget(target, metrics or names[run_id], failed=0))
    return found


async def status_of(
    db: Reader, project_id: ProjectId, run_id: UUID, *, target_id: str, metric: str
) -> ScoreStatus | None:
    """None if the pair has no score yet."""
    found = await statuses(db, run_rows.scores_of(project_id, run_id), [target_id])
    return found.get((target_id, metric))


async def restricted_targets(db: Reader, run_id: UUID) -> dict[str, list[str]]:
    """Targets of a retry that need only some of the run's metrics, with these metrics."""
    rows = await db.execute(
        select(col(EvalRunTarget.target_id), col(EvalRunTarget.metrics)).where(
            col(EvalRunTarget.run_id) == run_id, col(EvalRunTarget.metrics).is_not(None)
        )
    )
    return {target_id: metrics for target_id, metrics in rows if metrics is not None}


def of_run(project_id: ProjectId, run: EvalRun) -> tuple[ColumnElement[bool], ...]:
    """Scores of the run's own targets, without the signals of a session run, which are scores of
    traces.
    """
    of_its_type = sql_functions.unindexed(col(Score.target_type)) == run.target_type
    return (*run_rows.scores_of(project_id, run.id), of_its_type)


async def statuses(
    db: Reader, where: tuple[ColumnElement[bool], ...], target_ids: Sequence[str]
) -> dict[tuple[str, str], ScoreStatus]:
    rows = await db.execute(
        select(col(Score.target_id), col(Score.name), col(Score.status)).where(
            *where, col(Score.target_id).in_(target_ids)
        )
    )
    return {(target, metric): status for target, metric, status in rows}


async def record(db: Writer, scores: Sequence[NewScore]) -> set[UUID]:
    """Stores each score unless its pair has a score or its run is finished, cancelled or
    deleted.

    Returns the runs that are still open. The first score of a pair wins, so a repeated activity
    changes nothing.
    """
    asked = sorted({score.run_id for score in scores})
    result = await db.execute(_OPEN_RUNS, {"asked": asked})
    still_open = set(result.scalars())
    open_scores = [score for score in scores if score.run_id in still_open]
    gone = await _hold(db, [score for score in open_scores if score.of_existing])
    rows = [_row(score) for score in open_scores if (score.project_id, score.target_id) not in gone]
    if rows:
        await db.execute(dialect.insert_missing(db, _SCORE, _PAIR), rows)
    return still_open


async def _hold(db: Writer, scores: Sequence[NewScore]) -> set[target_holds.Target]:
    """Holds the targets of these scores against deletion, and returns the targets that no longer
    exist.
    """
    of_type = {
        target_type: {
            (score.project_id, score.target_id)
            for score in scores
            if score.target_type is target_type
        }
        for target_type in TargetType
    }
    return await target_holds.hold(
        db, traces=of_type[TargetType.TRACE], sessions=of_type[TargetType.SESSION]
    )


_TARGET: Final = metadata.tables["eval_run_target"]
_TARGETS: Final = (
    select(_TARGET.c.run_id, _TARGET.c.target_id, _TARGET.c.metrics)
    .where(_TARGET.c.run_id.in_(bindparam("runs", expanding=True)))
    .order_by(_TARGET.c.run_id, _TARGET.c.seq)
)

_OPEN_RUNS: Final = (
    select(_RUN.c.id)
    .where(_RUN.c.id.in_(bindparam("asked", expanding=True)), *run_rows.OPEN)
    .order_by(_RUN.c.id)
    # Keeps the lock until the commit, so that a cancellation or the final count sees all of these
    # scores or none.
    .with_for_update(read=True, of=_RUN)
)


def _row(score: NewScore) -> dict[str, Any]:
    moment = clock.now()
    columns = {name: getattr(score, name) for name in _NAMED_ALIKE}
    return columns | {
        "id": uuid4(),
        "name": score.metric,
        "source": ScoreSource.AUTOMATED,
        "data_type": ScoreType.NUMERIC,
        "value": None if score.number is None else score_values.text_of(score.number),
        "eval_run_id": score.run_id,
        "judge_calls": score.usage.calls,
        "cached_calls": score.usage.cached_calls,
        "prompt_tokens": score.usage.prompt_tokens,
        "completion_tokens": score.usage.completion_tokens,
        "cost_usd": score.usage.cost_usd,
        "repair_calls": score.usage.repair_calls,
        "repair_cost_usd": score.usage.repair_cost_usd,
        "created_at": moment,
        "updated_at": moment,
    }


async def left_in_others(db: Reader, run_id: UUID) -> int:
    """The number of open pairs of the project's other runs. Other projects are not included."""
    project = select(_RUN.c.project_id).where(_RUN.c.id == run_id).scalar_subquery()
    others = (col(EvalRun.id) != run_id, col(EvalRun.project_id) == project, *run_rows.OPEN)
    rows = await db.execute(
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
    return max(0, int(rows.scalar_one()) - ended.scalar_one())


async def count_of(db: Reader, run: EvalRun) -> int:
    """The same for a run whose targets are frozen; without reading them, except for a retry."""
    if "retry_of" in run.filters or not run.total_targets:
        return await count(db, run.id)
    return run.total_targets * len(run.metric_names)


async def count(db: Reader, run_id: UUID) -> int:
    """The total number of pairs of the run."""
    rows = await db.execute(
        select(func.coalesce(func.sum(col(EvalRunTarget.pair_count)), 0)).where(
            col(EvalRunTarget.run_id) == run_id
        )
    )
    return int(rows.scalar_one())
