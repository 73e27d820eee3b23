"""Response bodies of traces."""

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, Field
from sqlalchemy import Row

from core.content import ContentState
from core.ids import SpanKind, SpanStatus, TraceStatus
from core.queries.trace_reads import StoredTrace
from core.usage import latency_ms


class TraceSummary(BaseModel):
    """A trace without its content."""

    trace_id: UUID
    name: str
    status: TraceStatus
    started_at: datetime
    ended_at: datetime | None
    session_id: str | None
    user_id: str | None
    tags: list[str]
    environment: str | None
    release: str | None
    latency_ms: float | None = Field(description="From start to end; null while it runs.")
    span_count: int
    total_tokens: int = Field(description="Each call counted once.")
    total_cost: float = Field(description="In US dollars, each call counted once.")
    content: ContentState = Field(
        description=(
            "`none`: the trace has no text to judge. `partial`: a model answer or a tool call "
            "lacks its text."
        )
    )

    @classmethod
    def of(cls, stored: StoredTrace) -> "TraceSummary":
        return cls(**_head(stored))


class SpanDetail(BaseModel):
    span_id: UUID
    trace_id: UUID
    parent_span_id: UUID | None
    name: str
    kind: SpanKind
    status: SpanStatus
    input: Any
    output: Any
    model: str | None
    token_usage: dict[str, Any] | None
    metadata: dict[str, Any]
    started_at: datetime
    ended_at: datetime | None
    error: str | None
    completion_start_time: datetime | None
    model_parameters: dict[str, Any] | None
    cost: dict[str, Any] | None
    latency_ms: float | None = Field(description="From start to end; null while it runs.")
    time_to_first_token_ms: float | None

    @classmethod
    def of(cls, row: Row[Any]) -> "SpanDetail":
        # Does not validate again: stored values were validated on ingestion, and may have
        # megabytes.
        return cls.model_construct(
            span_id=row.id,
            trace_id=row.trace_id,
            parent_span_id=row.parent_span_id,
            name=row.name,
            kind=SpanKind(row.kind),
            status=SpanStatus(row.status),
            input=row.input,
            output=row.output,
            model=row.model,
            token_usage=row.token_usage,
            metadata=row.metadata,
            started_at=row.started_at,
            ended_at=row.ended_at,
            error=row.error,
            completion_start_time=row.completion_start_time,
            model_parameters=row.model_parameters,
            cost=row.cost,
            latency_ms=latency_ms(row.started_at, row.ended_at),
            time_to_first_token_ms=latency_ms(row.started_at, row.completion_start_time),
        )


class TraceDetail(TraceSummary):
    """A trace with its content, and with its spans ordered by start."""

    project_id: UUID
    input: Any
    output: Any
    metadata: dict[str, Any]
    spans: list[SpanDetail]

    @classmethod
    def of(cls, stored: StoredTrace) -> "TraceDetail":
        return cls.model_construct(
            **_head(stored),
            project_id=stored.row.project_id,
            input=stored.row.input,
            output=stored.row.output,
            metadata=stored.row.metadata,
            spans=[SpanDetail.of(span) for span in stored.spans],
        )


def _head(stored: StoredTrace) -> dict[str, Any]:
    row = stored.row
    return {
        "trace_id": row.id,
        "name": row.name,
        "status": TraceStatus(row.status),
        "started_at": row.started_at,
        "ended_at": row.ended_at,
        "session_id": row.session_id,
        "user_id": row.user_id,
        "tags": stored.tags,
        "environment": row.environment,
        "release": row.release,
        "latency_ms": row.latency_ms,
        "span_count": row.span_count,
        "total_tokens": row.total_tokens,
        "total_cost": row.total_cost,
        "content": ContentState(row.content),
    }
