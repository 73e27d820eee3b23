"""A score on the wire."""

from datetime import datetime
from typing import Any, Self
from uuid import UUID

from pydantic import BaseModel, Field

from core.ids import ScoreSource, ScoreStatus, ScoreType, TargetType
from core.tables import Score


class _ScoreBody(BaseModel):
    id: UUID
    name: str = Field(description="The metric.")
    value: str | None = Field(
        description="NUMERIC: a decimal in [0, 1]. BOOLEAN: `true` or `false`. Null where judging "
        "failed, and where the metric does not apply."
    )
    status: ScoreStatus
    source: ScoreSource
    created_at: datetime
    project_id: UUID
    data_type: ScoreType
    eval_run_id: UUID | None
    author_user_id: str | None
    reason: str | None
    metadata: dict[str, Any]
    updated_at: datetime


class TraceScoreBody(_ScoreBody):
    """What one metric, or one person, says of one trace."""

    trace_id: UUID
    environment: str | None = Field(description="The trace's.")
    config_id: UUID | None

    @classmethod
    def of(cls, row: Score) -> Self:
        return cls(
            trace_id=UUID(row.target_id),
            environment=row.environment,
            config_id=row.config_id,
            **_common(row),
        )


class SessionScoreBody(_ScoreBody):
    """What one metric says of one session."""

    session_id: str

    @classmethod
    def of(cls, row: Score) -> Self:
        return cls(session_id=row.target_id, **_common(row))


def score_body(row: Score) -> TraceScoreBody | SessionScoreBody:
    if row.target_type is TargetType.SESSION:
        return SessionScoreBody.of(row)
    return TraceScoreBody.of(row)


def _common(row: Score) -> dict[str, Any]:
    return {
        "id": row.id,
        "name": row.name,
        "value": row.value,
        "status": row.status,
        "source": row.source,
        "created_at": row.created_at,
        "project_id": row.project_id,
        "data_type": row.data_type,
        "eval_run_id": row.eval_run_id,
        "author_user_id": row.author_user_id,
        "reason": row.reason,
        "metadata": row.meta,
        "updated_at": row.updated_at,
    }
