"""Scores that people and their programs create, change and delete."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import delete, select
from sqlmodel import col

from core import clock, score_values
from core.db.database import Writer
from core.db.tables import Score, Trace
from core.errors import NotFound
from core.ids import ProjectId, ScoreSource, ScoreStatus, ScoreType, TargetType
from core.metadata_merge import merged_metadata
from core.queries import kept_usage, stored_figures


@dataclass(frozen=True, slots=True)
class Annotation:
    name: str
    value: str | float | bool
    data_type: ScoreType
    source: ScoreSource
    reason: str | None
    metadata: dict[str, Any]


async def add_to_trace(
    db: Writer, project_id: ProjectId, trace_id: UUID, annotation: Annotation
) -> Score:
    """Raises NotFound, Invalid."""
    value = score_values.parse(annotation.data_type, annotation.value)
    # Keeps the lock until the commit: a deletion waits, and then also deletes the score.
    trace = await db.execute(
        select(col(Trace.environment))
        .where(col(Trace.project_id) == project_id, col(Trace.id) == trace_id)
        .with_for_update(read=True)
    )
    row = trace.first()
    if row is None:
        raise NotFound("trace", trace_id)
    moment = clock.now()
    score = Score(
        id=uuid4(),
        project_id=project_id,
        target_type=TargetType.TRACE,
        target_id=str(trace_id),
        name=annotation.name,
        status=ScoreStatus.SUCCESS,
        source=annotation.source,
        data_type=annotation.data_type,
        value=value.text,
        number=value.number,
        reason=annotation.reason,
        environment=row.environment,
        meta=annotation.metadata,
        created_at=moment,
        updated_at=moment,
    )
    db.add(score)
    await db.flush()
    return score


async def change(
    db: Writer,
    project_id: ProjectId,
    target_type: TargetType,
    score_id: UUID,
    changes: dict[str, Any],
) -> Score:
    """Changes `value`, `reason` and `metadata`, if given; the score becomes an annotation.

    Raises NotFound, Invalid.
    """
    score = await db.scalar(
        select(Score)
        .where(
            col(Score.project_id) == project_id,
            col(Score.target_type) == target_type,
            col(Score.id) == score_id,
        )
        .with_for_update()
    )
    if score is None:
        raise NotFound("score", score_id)
    if not changes:
        return score
    if "value" in changes:
        score.value, score.number = score_values.parse(score.data_type, changes["value"])
    if "reason" in changes:
        score.reason = changes["reason"]
    if "metadata" in changes:
        score.meta = merged_metadata(score.meta, changes["metadata"])
    score.status, score.source = ScoreStatus.SUCCESS, ScoreSource.ANNOTATION
    score.updated_at = clock.now()
    await db.flush()
    await stored_figures.forget(db, [score.eval_run_id])
    return score


async def remove(
    db: Writer, project_id: ProjectId, target_type: TargetType, score_id: UUID
) -> None:
    """Raises NotFound."""
    await kept_usage.keep_scores(db, [score_id])
    run_ids = await db.scalars(
        delete(Score)
        .where(
            col(Score.project_id) == project_id,
            col(Score.target_type) == target_type,
            col(Score.id) == score_id,
        )
        .returning(col(Score.eval_run_id))
    )
    deleted = run_ids.all()
    if not deleted:
        raise NotFound("score", score_id)
    await stored_figures.forget(db, deleted)
