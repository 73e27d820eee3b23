"""Response bodies of sessions."""

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, Field

from api.schemas.traces import TraceDetail
from core.ids import ScoreStatus
from core.queries.session_reads import StoredSession


class SessionSummary(BaseModel):
    """A session: the traces that share a session id."""

    session_id: str
    trace_count: int
    first_trace_at: datetime = Field(description="Start of the first trace.")
    last_trace_at: datetime | None = Field(
        description="End of the last trace; null if no trace has ended."
    )
    total_latency_ms: float | None = Field(
        description="Sum over all ended traces; null if no trace has ended."
    )
    has_error: bool = Field(description="Whether a trace ended in an error.")
    user_id: str | None = Field(description="User of the newest trace.")
    tags: list[str] = Field(description="Tags of all traces.")
    total_span_count: int
    total_tokens: int
    total_cost: float = Field(description="In US dollars.")

    @classmethod
    def of(cls, stored: StoredSession) -> "SessionSummary":
        return cls(**_head(stored))


class SessionDetail(SessionSummary):
    traces: list[TraceDetail] = Field(description="Oldest first, with content and spans.")


class SessionsDeleted(BaseModel):
    deleted: int = Field(description="Number of deleted traces.")


class SessionBucket(BaseModel):
    bucket: datetime = Field(description="Start of the period, in UTC.")
    session_count: int = Field(description="Sessions that began in the period.")
    avg_traces_per_session: float | None
    avg_session_duration_ms: float | None = Field(
        description="From the start of the first trace to the end of the last one."
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
    score: float | None = Field(description="Null if the metric did not apply.")
    evaluated_at: datetime | None
    eval_run_id: UUID | None


def _head(stored: StoredSession) -> dict[str, Any]:
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
