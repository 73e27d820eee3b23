"""Traces as metrics see them: frozen values, independent of the store."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from core.ids import SpanId, SpanKind, SpanStatus, TraceId, TraceStatus


class Span(BaseModel):
    model_config = ConfigDict(frozen=True)

    id: SpanId
    parent_id: SpanId | None = None
    name: str
    kind: SpanKind = SpanKind.OTHER
    status: SpanStatus = SpanStatus.UNSET
    input: JsonValue = None
    output: JsonValue = None
    error: str | None = None
    model: str | None = None
    metadata: dict[str, JsonValue] = Field(default_factory=dict)
    started_at: datetime
    ended_at: datetime | None = None


class Trace(BaseModel):
    """`spans` are ordered by start time, then by id. Parents may be missing or form a cycle.

    `updated_at`: the last change before the trace was read; None for a trace that is not stored.
    """

    model_config = ConfigDict(frozen=True)

    id: TraceId
    name: str
    status: TraceStatus = TraceStatus.COMPLETED
    input: JsonValue = None
    output: JsonValue = None
    metadata: dict[str, JsonValue] = Field(default_factory=dict)
    started_at: datetime
    ended_at: datetime | None = None
    session_id: str | None = None
    environment: str | None = None
    updated_at: datetime | None = None
    spans: tuple[Span, ...] = ()
