"""Sessions on the wire."""

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, Field

from api.models.traces import TraceSummary
from core.ids import ScoreStatus
from core.queries.sessions import Stored
from core.queries.traces import Stored as StoredTrace


class SessionSummary(BaseModel):
    """The traces that share a session id, taken together."""

    session_id: str
    trace_count: int
    first_trace_at: datetime = Field(description="When the first trace started.")
    last_trace_at: datetime | None = Field(description="When the last trace started.")
    total_latency_ms: float | None = Field(
        description="Over all traces; null where none has come to an end."
    )
    has_error: bool = Field(description="Whether a trace ended in an error.")
    user_id: str | None = Field(description="Whoever used it last.")
    tags: list[str] = Field(description="Those of all traces.")
    total_span_count: int
    total_tokens: int
    total_cost: float = Field(description="In US dollars.")

    @classmethod
    def of(cls, stored: Stored) -> "SessionSummary":
        return cls(**_head(stored))


class SessionDetail(SessionSummary):
    traces: list[TraceSummary] = Field(description="Oldest first, without content.")

    @classmethod
    def with_traces(cls, stored: Stored, found: list[StoredTrace]) -> "SessionDetail":
        return cls(**_head(stored), traces=[TraceSummary.of(trace) for trace in found])


class SessionsDeleted(BaseModel):
    deleted: int = Field(description="How many traces the session had.")


class SessionBucket(BaseModel):
    bucket: datetime = Field(description="Where the period begins, in UTC.")
    session_count: int = Field(description="Sessions that began in it.")
    avg_traces_per_session: float | None
    avg_session_duration_ms: float | None = Field(
        description="From the start of the first trace to the end of the last."
    )


class ScoreMoment(BaseModel):
    """One score in the history of a session."""

    metric_name: str
    score: float | None
    eval_run_id: UUID | None
    created_at: datetime | None
    status: ScoreStatus


class ComparedSession(BaseModel):
    session_id: str
    score: float | None = Field(description="Null where the metric did not apply.")
    evaluated_at: datetime | None
    eval_run_id: UUID | None


def _head(stored: Stored) -> dict[str, Any]:
    row = stored.row
    return {
        "session_id": row.session_id,
        "trace_count": row.trace_count,
        "first_trace_at": row.first_trace_at,
        "last_trace_at": row.last_trace_at,
        "total_latency_ms": row.total_latency_ms,
        "has_error": row.error_count > 0,
        "user_id": stored.user_id,
        "tags": stored.tags,
        "total_span_count": row.total_span_count,
        "total_tokens": row.total_tokens,
        "total_cost": row.total_cost,
    }
