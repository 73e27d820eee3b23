"""Scores made, changed and deleted by people and their programs."""

import re
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID, uuid4

from sqlalchemy import delete, select
from sqlalchemy.engine import CursorResult
from sqlmodel import col

from core import clock
from core.database import Writer
from core.errors import Invalid, NotFound
from core.ids import ProjectId, ScoreSource, ScoreStatus, ScoreType, TargetType
from core.tables import Score, Trace

_DECIMAL: Final = re.compile(r"0(\.[0-9]{1,4})?|1(\.0{1,4})?")


@dataclass(frozen=True, slots=True)
class Annotation:
    name: str
    value: str
    data_type: ScoreType
    source: ScoreSource
    reason: str | None
    metadata: dict[str, Any]


def number_of(data_type: ScoreType, value: str) -> float | None:
    """The value for arithmetic; None where it is not NUMERIC. Raises Invalid."""
    match data_type:
        case ScoreType.NUMERIC:
            if not _DECIMAL.fullmatch(value):
                raise Invalid(
                    "A NUMERIC value is a decimal from 0 to 1 with at most 4 places, such as 0.85."
                )
            return float(value)
        case ScoreType.BOOLEAN:
            if value not in ("true", "false"):
                raise Invalid("A BOOLEAN value is true or false.")
        case ScoreType.CATEGORICAL:
            pass
    return None


async def add_to_trace(
    db: Writer, project_id: ProjectId, trace_id: UUID, annotation: Annotation
) -> Score:
    """Raises NotFound, Invalid."""
    number = number_of(annotation.data_type, annotation.value)
    # Held until the commit: a deletion of the trace comes before or after, and takes this along.
    trace = await db.execute(
        select(col(Trace.environment))
        .where(col(Trace.project_id) == project_id, col(Trace.id) == trace_id)
        .with_for_update(read=True)
    )
    found = trace.first()
    if found is None:
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
        value=annotation.value,
        number=number,
        reason=annotation.reason,
        environment=found.environment,
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
    """Lays `value`, `reason` and `metadata`, as far as given, over a score, which thereby is a
    person's. Raises NotFound, Invalid."""
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
    if "value" in changes:
        score.number = number_of(score.data_type, changes["value"])
        score.value = changes["value"]
    if "reason" in changes:
        score.reason = changes["reason"]
    if "metadata" in changes:
        score.meta = changes["metadata"]
    score.status, score.source = ScoreStatus.SUCCESS, ScoreSource.ANNOTATION
    score.updated_at = clock.now()
    await db.flush()
    return score


async def remove(
    db: Writer, project_id: ProjectId, target_type: TargetType, score_id: UUID
) -> None:
    """Raises NotFound."""
    result = await db.execute(
        delete(Score).where(
            col(Score.project_id) == project_id,
            col(Score.target_type) == target_type,
            col(Score.id) == score_id,
        )
    )
    assert isinstance(result, CursorResult)
    if result.rowcount == 0:
        raise NotFound("score", score_id)
