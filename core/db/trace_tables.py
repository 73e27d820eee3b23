"""The tables of traces, their spans and tags."""

from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import (
    Boolean,
    Column,
    ForeignKeyConstraint,
    Index,
    false,
    text,
)
from sqlmodel import Field, SQLModel

from core.content import ContentState
from core.db.column_types import Choice, Json
from core.db.table_columns import json_column, moment_column, size_column, sum_column, text_column
from core.ids import SpanKind, SpanStatus, TraceStatus


class Trace(SQLModel, table=True):
    """A trace.

    `span_count`, the tokens and `total_cost` sum up the spans, so that lists read no spans.

    `from_spans`: name, status, input, output and times follow from the spans received so far, until
    a client writes one of these fields. `top_span_id`, `input_span_id` and `output_span_id` name
    the spans that these fields come from. Without `top_span_id` the next change derives the fields
    from all spans. `content`: how much text there is to judge. `text_spans` counts the spans with
    text; `silent_spans` counts the spans that should have text and have none. `usage_overlaps`: the
    tokens are not a plain sum over the spans.
    """

    __tablename__ = "trace"
    __table_args__: ClassVar[Any] = (
        Index(
            "ix_trace_started",
            *("project_id", "started_at", "id", "status", "latency_ms"),
            *("total_tokens", "prompt_tokens", "completion_tokens", "total_cost"),
        ),
        Index("ix_trace_session", "project_id", "session_id", "started_at"),
        Index("ix_trace_user", "project_id", "user_id", "started_at", "status"),
        Index("ix_trace_name", "project_id", "name", "started_at", "id"),
        Index("ix_trace_ingested", "project_id", "ingested_at"),
        Index("ix_trace_size", "project_id", "size_bytes"),
        Index(
            "ix_trace_running",
            "updated_at",
            sqlite_where=text("status = 'RUNNING'"),
            postgresql_where=text("status = 'RUNNING'"),
        ),
    )

    project_id: UUID = Field(primary_key=True, foreign_key="project.id")
    id: UUID = Field(primary_key=True)
    name: str = Field(max_length=512)
    status: TraceStatus = Field(sa_column=Column(Choice(TraceStatus), nullable=False))
    started_at: datetime = moment_column()
    ended_at: datetime | None = moment_column(nullable=True)
    session_id: str | None = Field(default=None, max_length=255)
    user_id: str | None = Field(default=None, max_length=255)
    environment: str | None = Field(default=None, max_length=255)
    release: str | None = Field(default=None, max_length=255)
    latency_ms: float | None = None
    span_count: int = 0
    size_bytes: int = size_column()
    total_tokens: int = sum_column()
    prompt_tokens: int = sum_column()
    completion_tokens: int = sum_column()
    total_cost: float = 0.0
    content: ContentState = Field(
        default=ContentState.WHOLE,
        sa_column=Column(Choice(ContentState), nullable=False, server_default="whole"),
    )
    text_spans: int = Field(default=0, sa_column_kwargs={"server_default": "0"})
    silent_spans: int = Field(default=0, sa_column_kwargs={"server_default": "0"})
    usage_overlaps: bool = Field(
        default=False, sa_column=Column(Boolean, nullable=False, server_default=false())
    )
    top_span_id: UUID | None = None
    input_span_id: UUID | None = None
    output_span_id: UUID | None = None
    from_spans: bool = Field(
        default=False, sa_column=Column(Boolean, nullable=False, server_default=false())
    )
    ingested_at: datetime = moment_column()
    updated_at: datetime = moment_column()
    # Last columns, so that a list reads the head of a row without its overflow pages.
    meta: dict[str, Any] = Field(sa_column=Column("metadata", Json, nullable=False))
    input: Any = json_column()
    output: Any = json_column()


class Span(SQLModel, table=True):
    """A span. `token_usage` and `cost` are stored as sent; the number columns hold their sums."""

    __tablename__ = "span"
    __table_args__: ClassVar[Any] = (
        ForeignKeyConstraint(
            ["project_id", "trace_id"], ["trace.project_id", "trace.id"], ondelete="CASCADE"
        ),
        Index(
            "ix_span_model",
            *("project_id", "started_at", "model", "total_tokens", "total_cost"),
            sqlite_where=text("model IS NOT NULL"),
            postgresql_where=text("model IS NOT NULL"),
        ),
        Index(
            "ix_span_usage",
            *("project_id", "trace_id", "parent_span_id"),
            sqlite_where=text("total_tokens > 0"),
            postgresql_where=text("total_tokens > 0"),
        ),
    )

    project_id: UUID = Field(primary_key=True)
    trace_id: UUID = Field(primary_key=True)
    id: UUID = Field(primary_key=True)
    parent_span_id: UUID | None = None
    name: str = Field(max_length=512)
    kind: SpanKind = Field(sa_column=Column(Choice(SpanKind), nullable=False))
    status: SpanStatus = Field(sa_column=Column(Choice(SpanStatus), nullable=False))
    model: str | None = Field(default=None, max_length=255)
    started_at: datetime = moment_column()
    ended_at: datetime | None = moment_column(nullable=True)
    completion_start_time: datetime | None = moment_column(nullable=True)
    error: str | None = text_column()
    total_tokens: int = sum_column()
    prompt_tokens: int = sum_column()
    completion_tokens: int = sum_column()
    total_cost: float = 0.0
    size_bytes: int = size_column()
    token_usage: dict[str, Any] | None = json_column()
    cost: dict[str, Any] | None = json_column()
    model_parameters: dict[str, Any] | None = json_column()
    meta: dict[str, Any] = Field(sa_column=Column("metadata", Json, nullable=False))
    input: Any = json_column()
    output: Any = json_column()


class TraceTag(SQLModel, table=True):
    """A tag of a trace.

    `started_at` is a copy from the trace, so that an index finds the traces of a tag by time.
    """

    __tablename__ = "trace_tag"
    __table_args__: ClassVar[Any] = (
        ForeignKeyConstraint(
            ["project_id", "trace_id"], ["trace.project_id", "trace.id"], ondelete="CASCADE"
        ),
        Index("ix_trace_tag_started", "project_id", "tag", "started_at", "trace_id"),
    )

    project_id: UUID = Field(primary_key=True)
    trace_id: UUID = Field(primary_key=True)
    tag: str = Field(primary_key=True, max_length=255)
    started_at: datetime = moment_column()
