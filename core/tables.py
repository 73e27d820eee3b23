"""The schema. `docs/decisions` says why traces and scores are shaped as they are."""

from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Text,
    UniqueConstraint,
    Uuid,
    false,
    text,
)
from sqlmodel import Field, SQLModel

from core.dialect import Choice, Json, UtcDateTime
from core.ids import (
    MonitorStatus,
    RunStatus,
    ScoreSource,
    ScoreStatus,
    ScoreType,
    SpanKind,
    SpanStatus,
    TargetType,
    TraceStatus,
)


def _json(*, nullable: bool = True) -> Any:
    return Field(default=None, sa_column=Column(Json, nullable=nullable))


def _moment(*, nullable: bool = False) -> Any:
    return Field(default=None, sa_column=Column(UtcDateTime, nullable=nullable))


def _text() -> Any:
    return Field(default=None, sa_column=Column(Text, nullable=True))


def _sum() -> Any:
    return Field(default=0, sa_column=Column(BigInteger, nullable=False))


class Project(SQLModel, table=True):
    __tablename__ = "project"

    id: UUID = Field(primary_key=True)
    name: str = Field(max_length=128, unique=True)
    created_at: datetime = _moment()


class ApiKey(SQLModel, table=True):
    """Only the SHA-256 of a key is kept; `prefix` is what a person recognises it by."""

    __tablename__ = "api_key"

    id: UUID = Field(primary_key=True)
    name: str = Field(max_length=128)
    prefix: str = Field(max_length=16)
    key_hash: str = Field(max_length=64, unique=True)
    scope: str = Field(max_length=16)
    project_id: UUID | None = Field(default=None, foreign_key="project.id")
    created_at: datetime = _moment()
    expires_at: datetime | None = _moment(nullable=True)
    revoked_at: datetime | None = _moment(nullable=True)


class Trace(SQLModel, table=True):
    """`span_count`, the tokens and `total_cost` sum up the spans, so that lists read none.

    `from_spans`: name, status, input, output and times follow from the spans that have come so
    far, and change as more come; a client that writes them itself ends that.
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
        Index("ix_trace_ingested", "project_id", "ingested_at"),
    )

    project_id: UUID = Field(primary_key=True, foreign_key="project.id")
    id: UUID = Field(primary_key=True)
    name: str = Field(max_length=512)
    status: TraceStatus = Field(sa_column=Column(Choice(TraceStatus), nullable=False))
    started_at: datetime = _moment()
    ended_at: datetime | None = _moment(nullable=True)
    session_id: str | None = Field(default=None, max_length=255)
    user_id: str | None = Field(default=None, max_length=255)
    environment: str | None = Field(default=None, max_length=255)
    release: str | None = Field(default=None, max_length=255)
    latency_ms: float | None = None
    span_count: int = 0
    total_tokens: int = _sum()
    prompt_tokens: int = _sum()
    completion_tokens: int = _sum()
    total_cost: float = 0.0
    from_spans: bool = Field(
        default=False, sa_column=Column(Boolean, nullable=False, server_default=false())
    )
    ingested_at: datetime = _moment()
    updated_at: datetime = _moment()
    # Last, so that a list reads a row's head without walking its overflow pages.
    meta: dict[str, Any] = Field(sa_column=Column("metadata", Json, nullable=False))
    input: Any = _json()
    output: Any = _json()


class Span(SQLModel, table=True):
    """`token_usage` and `cost` as they were sent; the columns of numbers say what they come to."""

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
    )

    project_id: UUID = Field(primary_key=True)
    trace_id: UUID = Field(primary_key=True)
    id: UUID = Field(primary_key=True)
    parent_span_id: UUID | None = None
    name: str = Field(max_length=512)
    kind: SpanKind = Field(sa_column=Column(Choice(SpanKind), nullable=False))
    status: SpanStatus = Field(sa_column=Column(Choice(SpanStatus), nullable=False))
    model: str | None = Field(default=None, max_length=255)
    started_at: datetime = _moment()
    ended_at: datetime | None = _moment(nullable=True)
    completion_start_time: datetime | None = _moment(nullable=True)
    error: str | None = _text()
    total_tokens: int = _sum()
    prompt_tokens: int = _sum()
    completion_tokens: int = _sum()
    total_cost: float = 0.0
    token_usage: dict[str, Any] | None = _json()
    cost: dict[str, Any] | None = _json()
    model_parameters: dict[str, Any] | None = _json()
    meta: dict[str, Any] = Field(sa_column=Column("metadata", Json, nullable=False))
    input: Any = _json()
    output: Any = _json()


class TraceTag(SQLModel, table=True):
    """`started_at` is the trace's, so that a tag's traces are found by time."""

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
    started_at: datetime = _moment()


class EvalRun(SQLModel, table=True):
    """`activity` is what the run was last seen doing; the live answer is the workflow's."""

    __tablename__ = "eval_run"
    __table_args__: ClassVar[Any] = (
        Index("ix_eval_run_created", "project_id", "target_type", "created_at", "id"),
        Index("ix_eval_run_monitor", "monitor_id", "created_at", "id"),
    )

    id: UUID = Field(primary_key=True)
    project_id: UUID = Field(foreign_key="project.id")
    target_type: TargetType = Field(sa_column=Column(Choice(TargetType), nullable=False))
    name: str | None = Field(default=None, max_length=512)
    status: RunStatus = Field(sa_column=Column(Choice(RunStatus), nullable=False))
    metric_names: list[str] = Field(sa_column=Column(Json, nullable=False))
    filters: dict[str, Any] = Field(sa_column=Column(Json, nullable=False))
    sampling_rate: float = 1.0
    model: str = Field(max_length=255)
    fresh: bool = False
    total_targets: int = 0
    evaluated_count: int = 0
    failed_count: int = 0
    usage: dict[str, Any] | None = _json()
    created_at: datetime = _moment()
    resolved_at: datetime | None = _moment(nullable=True)
    cancel_requested_at: datetime | None = _moment(nullable=True)
    completed_at: datetime | None = _moment(nullable=True)
    monitor_id: UUID | None = None
    error_message: str | None = _text()


class EvalRunTarget(SQLModel, table=True):
    """The frozen sample, in judging order. `metrics` null: all metrics of the run."""

    __tablename__ = "eval_run_target"

    run_id: UUID = Field(
        sa_column=Column(Uuid, ForeignKey("eval_run.id", ondelete="CASCADE"), primary_key=True)
    )
    seq: int = Field(primary_key=True)
    target_id: str = Field(sa_column=Column(Text, nullable=False))
    pair_count: int
    metrics: list[str] | None = _json()


class EvalMonitor(SQLModel, table=True):
    """Changes are counted: `applied_revision` is the last its schedule was told of."""

    __tablename__ = "eval_monitor"
    __table_args__: ClassVar[Any] = (
        Index("ix_eval_monitor_created", "project_id", "created_at", "id"),
    )

    id: UUID = Field(primary_key=True)
    project_id: UUID = Field(foreign_key="project.id")
    name: str = Field(max_length=512)
    target_type: TargetType = Field(sa_column=Column(Choice(TargetType), nullable=False))
    status: MonitorStatus = Field(sa_column=Column(Choice(MonitorStatus), nullable=False))
    metric_names: list[str] = Field(sa_column=Column(Json, nullable=False))
    filters: dict[str, Any] = Field(sa_column=Column(Json, nullable=False))
    sampling_rate: float = 1.0
    model: str | None = Field(default=None, max_length=255)
    cadence: str = Field(max_length=255)
    only_if_changed: bool = True
    last_run_at: datetime | None = _moment(nullable=True)
    last_run_id: UUID | None = Field(
        default=None,
        sa_column=Column(Uuid, ForeignKey("eval_run.id", ondelete="SET NULL"), nullable=True),
    )
    revision: int = 1
    applied_revision: int = 0
    next_run_at: datetime | None = _moment(nullable=True)
    created_at: datetime = _moment()
    updated_at: datetime = _moment()


class Score(SQLModel, table=True):
    """Trace and session scores. `value` is the text on the wire; `number` is for arithmetic."""

    __tablename__ = "score"
    __table_args__: ClassVar[Any] = (
        UniqueConstraint("eval_run_id", "target_id", "name", name="uq_score_run_target_metric"),
        Index("ix_score_target", "project_id", "target_type", "target_id", "name", "created_at"),
        Index(
            "ix_score_created",
            *("project_id", "target_type", "created_at", "id", "name", "status", "number"),
        ),
        Index(
            "ix_score_name",
            *("project_id", "target_type", "name", "created_at", "id", "status", "number"),
        ),
        Index(
            "ix_score_run",
            *("project_id", "target_type", "eval_run_id", "created_at", "id", "name", "status"),
            sqlite_where=text("eval_run_id IS NOT NULL"),
            postgresql_where=text("eval_run_id IS NOT NULL"),
        ),
        Index(
            "ix_score_of_session",
            *("project_id", "name", "status", "number", "target_id", "created_at", "id"),
            sqlite_where=text("target_type = 'SESSION'"),
            postgresql_where=text("target_type = 'SESSION'"),
        ),
    )

    id: UUID = Field(primary_key=True)
    project_id: UUID = Field(foreign_key="project.id")
    target_type: TargetType = Field(sa_column=Column(Choice(TargetType), nullable=False))
    target_id: str = Field(sa_column=Column(Text, nullable=False))
    name: str = Field(max_length=255)
    status: ScoreStatus = Field(sa_column=Column(Choice(ScoreStatus), nullable=False))
    source: ScoreSource = Field(sa_column=Column(Choice(ScoreSource), nullable=False))
    data_type: ScoreType = Field(sa_column=Column(Choice(ScoreType), nullable=False))
    value: str | None = _text()
    number: float | None = None
    reason: str | None = _text()
    environment: str | None = Field(default=None, max_length=255)
    eval_run_id: UUID | None = Field(
        default=None,
        sa_column=Column(Uuid, ForeignKey("eval_run.id", ondelete="SET NULL"), nullable=True),
    )
    config_id: UUID | None = None
    author_user_id: str | None = Field(default=None, max_length=255)
    judge_calls: int = 0
    cached_calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: float | None = None
    meta: dict[str, Any] = Field(sa_column=Column("metadata", Json, nullable=False))
    created_at: datetime = _moment()
    updated_at: datetime = _moment()


class Judgement(SQLModel, table=True):
    """A completed judge stage under the hash of everything that was asked."""

    __tablename__ = "judgement"

    project_id: UUID = Field(primary_key=True, foreign_key="project.id")
    key: str = Field(primary_key=True, max_length=64)
    model: str = Field(max_length=255)
    answer: dict[str, Any] = Field(sa_column=Column(Json, nullable=False))
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: float | None = None
    created_at: datetime = _moment()


class Worker(SQLModel, table=True):
    """What each worker process offers: provider names and availability, never a key."""

    __tablename__ = "worker"

    id: str = Field(primary_key=True, max_length=255)
    started_at: datetime = _moment()
    last_seen: datetime = _moment()
    default_model: str = Field(max_length=255)
    providers: list[dict[str, Any]] = Field(sa_column=Column(Json, nullable=False))


class IdempotencyKey(SQLModel, table=True):
    """`response` is null until the run's first answer is known."""

    __tablename__ = "idempotency_key"

    project_id: UUID = Field(primary_key=True, foreign_key="project.id")
    key: str = Field(primary_key=True, max_length=255)
    body_hash: str = Field(max_length=64)
    run_id: UUID
    response: dict[str, Any] | None = _json()
    created_at: datetime = _moment()


metadata = SQLModel.metadata
