"""Response bodies of scores."""

from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Self
from uuid import UUID

from pydantic import BaseModel, Field

from core.ids import ScoreSource, ScoreStatus, ScoreType, TargetType

if TYPE_CHECKING:
    from core.db.tables import Score


class _ScoreBody(BaseModel):
    id: UUID
    name: str = Field(description="The metric.")
    value: str | None = Field(
        description=(
            "NUMERIC: a decimal in [0, 1]. BOOLEAN: `true` or `false`. Null if judging failed or "
            "if the metric does not apply."
        )
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
    """A score of one trace, by a metric or a person."""

    trace_id: UUID
    environment: str | None = Field(description="The environment of the trace.")
    config_id: UUID | None

    @classmethod
    def of(cls, row: "Score") -> Self:
        return cls(trace_id=UUID(row.target_id), **_stored(cls, row))


class SessionScoreBody(_ScoreBody):
    """A score of one session."""

    session_id: str

    @classmethod
    def of(cls, row: "Score") -> Self:
        return cls(session_id=row.target_id, **_stored(cls, row))


def score_body(row: "Score") -> TraceScoreBody | SessionScoreBody:
    if row.target_type is TargetType.SESSION:
        return SessionScoreBody.of(row)
    return TraceScoreBody.of(row)


_COLUMNS: Final = {"metadata": "meta"}
"""Columns whose names differ from the names of their fields."""

_TARGETS: Final = frozenset({"trace_id", "session_id"})


def _stored(body: type[_ScoreBody], row: "Score") -> dict[str, Any]:
    """The declared fields of the body except the target, each from its column."""
    names = body.model_fields.keys() - _TARGETS
    return {name: getattr(row, _COLUMNS.get(name, name)) for name in names}
