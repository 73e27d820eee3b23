"""The schema. `docs/decisions` has the reasons for the shape of traces and scores."""

from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import (
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlmodel import Field, SQLModel

from core.db.access_tables import ApiKey, AuditEntry, IdempotencyKey, Project, Worker
from core.db.budget_tables import BudgetAccount, BudgetHold
from core.db.column_types import Choice, Json
from core.db.comparison_tables import Comparison, MetricNoise, NoiseMeasurement
from core.db.judgement_tables import JudgementClaim, JudgementRow
from core.db.table_columns import json_column, limit_column, moment_column, text_column
from core.db.trace_tables import Span, Trace, TraceTag
from core.db.usage_tables import UsageDay
from core.ids import (
    MonitorStatus,
    PausedBy,
    RunStatus,
    ScoreSource,
    ScoreStatus,
    ScoreType,
    TargetType,
)

__all__ = [
    "ApiKey",
    "AuditEntry",
    "BudgetAccount",
    "BudgetHold",
    "Comparison",
    "DashboardSession",
    "EvalMonitor",
    "EvalRun",
    "EvalRunStop",
    "EvalRunTarget",
    "IdempotencyKey",
    "JudgementClaim",
    "JudgementRow",
    "Lease",
    "MetricNoise",
    "NoiseMeasurement",
    "Project",
    "Score",
    "Span",
    "Trace",
    "TraceTag",
    "UsageDay",
    "Worker",
    "metadata",
]


class EvalRun(SQLModel, table=True):
    """`signal_weights`: for session runs; null for the default weights.

    `admitted_at`: the time of admission; until then the run has no workflow. `paused_at`: the time
    at which the run paused at a budget. `paused_by`: the owner of the budget.
    `resume_requested_at`: set from the resume until the workflow has got the signal.
    `temporal_namespace`: the namespace of its workflow, in the form of `namespace_of`. `figures`:
    the counts of an ended run's scores; null if a score has changed since. `figures_revision`
    counts these changes.
    """

    __tablename__ = "eval_run"
    __table_args__: ClassVar[Any] = (
        Index("ix_eval_run_created", "project_id", "target_type", "created_at", "id"),
        Index("ix_eval_run_monitor", "monitor_id", "created_at", "id"),
        Index(
            "ix_eval_run_open",
            *("project_id", "admitted_at", "id"),
            sqlite_where=text("completed_at IS NULL AND admitted_at IS NOT NULL"),
            postgresql_where=text("completed_at IS NULL AND admitted_at IS NOT NULL"),
        ),
        Index(
            "ix_eval_run_waiting",
            *("project_id", "created_at", "id"),
            sqlite_where=text("completed_at IS NULL AND admitted_at IS NULL"),
            postgresql_where=text("completed_at IS NULL AND admitted_at IS NULL"),
        ),
        Index(
            "ix_eval_run_waiting_model",
            *("project_id", "model", "created_at", "id"),
            sqlite_where=text("completed_at IS NULL AND admitted_at IS NULL"),
            postgresql_where=text("completed_at IS NULL AND admitted_at IS NULL"),
        ),
    )

    id: UUID = Field(primary_key=True)
    project_id: UUID = Field(foreign_key="project.id")
    target_type: TargetType = Field(sa_column=Column(Choice(TargetType), nullable=False))
    name: str | None = Field(default=None, max_length=512)
    status: RunStatus = Field(sa_column=Column(Choice(RunStatus), nullable=False))
    metric_names: list[str] = Field(sa_column=Column(Json, nullable=False))
    filters: dict[str, Any] = Field(sa_column=Column(Json, nullable=False))
    signal_weights: dict[str, float] | None = json_column()
    sampling_rate: float = 1.0
    model: str = Field(max_length=255)
    fresh: bool = False
    bundle: bool = True
    max_cost_usd: float | None = None
    max_tokens: int | None = limit_column()
    total_targets: int = 0
    evaluated_count: int = 0
    failed_count: int = 0
    usage: dict[str, Any] | None = json_column()
    created_at: datetime = moment_column()
    admitted_at: datetime | None = moment_column(nullable=True)
    resolved_at: datetime | None = moment_column(nullable=True)
    cancel_requested_at: datetime | None = moment_column(nullable=True)
    paused_at: datetime | None = moment_column(nullable=True)
    paused_by: PausedBy | None = Field(
        default=None, sa_column=Column(Choice(PausedBy), nullable=True)
    )
    resume_requested_at: datetime | None = moment_column(nullable=True)
    completed_at: datetime | None = moment_column(nullable=True)
    monitor_id: UUID | None = None
    temporal_namespace: str | None = Field(default=None, max_length=255)
    error_message: str | None = text_column()
    figures: dict[str, Any] | None = json_column()
    figures_revision: int = Field(
        default=0, sa_column=Column(Integer, nullable=False, server_default=text("0"))
    )


class EvalRunTarget(SQLModel, table=True):
    """The frozen sample, in judging order. `metrics` is null for all metrics of the run."""

    __tablename__ = "eval_run_target"

    run_id: UUID = Field(
        sa_column=Column(Uuid, ForeignKey("eval_run.id", ondelete="CASCADE"), primary_key=True)
    )
    seq: int = Field(primary_key=True)
    target_id: str = Field(sa_column=Column(Text, nullable=False))
    pair_count: int
    metrics: list[str] | None = json_column()


class EvalRunStop(SQLModel, table=True):
    """Marks a run whose scores are no longer written. The mark is set before the row of the run
    changes.

    Has no foreign key, because its check would wait for the lock on the row of the run.
    """

    __tablename__ = "eval_run_stop"

    run_id: UUID = Field(primary_key=True)
    project_id: UUID
    stopped_at: datetime = moment_column()


class EvalMonitor(SQLModel, table=True):
    """`revision` counts changes; `applied_revision` is the last one sent to the schedule.

    `failures`: the number of consecutive due times at which no run could be opened; `last_error`
    has the reason.
    `skipped_by_outage`, `skipped_by_overlap`: the numbers of skipped due times, as last read from
    Temporal. The first counts those during an outage of Temporal, the second those at which the
    last run was still open.
    """

    __tablename__ = "eval_monitor"
    __table_args__: ClassVar[Any] = (
        Index("ix_eval_monitor_created", "project_id", "created_at", "id"),
        Index("ix_eval_monitor_last_run", "last_run_id"),
    )

    id: UUID = Field(primary_key=True)
    project_id: UUID = Field(foreign_key="project.id")
    name: str = Field(max_length=512)
    target_type: TargetType = Field(sa_column=Column(Choice(TargetType), nullable=False))
    status: MonitorStatus = Field(sa_column=Column(Choice(MonitorStatus), nullable=False))
    metric_names: list[str] = Field(sa_column=Column(Json, nullable=False))
    filters: dict[str, Any] = Field(sa_column=Column(Json, nullable=False))
    signal_weights: dict[str, float] | None = json_column()
    sampling_rate: float = 1.0
    model: str | None = Field(default=None, max_length=255)
    cadence: str = Field(max_length=255)
    only_if_changed: bool = True
    bundle: bool = True
    max_cost_usd: float | None = None
    max_tokens: int | None = limit_column()
    last_run_at: datetime | None = moment_column(nullable=True)
    last_run_id: UUID | None = Field(
        default=None,
        sa_column=Column(Uuid, ForeignKey("eval_run.id", ondelete="SET NULL"), nullable=True),
    )
    revision: int = 1
    applied_revision: int = 0
    next_run_at: datetime | None = moment_column(nullable=True)
    last_error: str | None = text_column()
    failures: int = Field(
        default=0, sa_column=Column(Integer, nullable=False, server_default=text("0"))
    )
    skipped_by_outage: int = Field(default=0, sa_column_kwargs={"server_default": "0"})
    skipped_by_overlap: int = Field(default=0, sa_column_kwargs={"server_default": "0"})
    created_at: datetime = moment_column()
    updated_at: datetime = moment_column()


class Score(SQLModel, table=True):
    """Trace and session scores.

    `value` is the text in requests and responses; `number` is for arithmetic. `config_id` and
    `author_user_id` are never written, but clients expect the fields.
    """

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
            "number",
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
    value: str | None = text_column()
    number: float | None = None
    reason: str | None = text_column()
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
    repair_calls: int = Field(default=0, sa_column_kwargs={"server_default": "0"})
    repair_cost_usd: float | None = Field(default=0.0, sa_column_kwargs={"server_default": "0"})
    meta: dict[str, Any] = Field(sa_column=Column("metadata", Json, nullable=False))
    created_at: datetime = moment_column()
    updated_at: datetime = moment_column()


class DashboardSession(SQLModel, table=True):
    """A browser that signed in with an API key, or a link that signs in one browser, once.

    Only the SHA-256 of the cookie or of the link's secret is stored.
    """

    __tablename__ = "dashboard_session"

    token_hash: str = Field(max_length=64, primary_key=True)
    api_key_id: UUID = Field(
        sa_column=Column(Uuid, ForeignKey("api_key.id", ondelete="CASCADE"), nullable=False)
    )
    is_link: bool = Field(sa_column=Column(Boolean, nullable=False))
    created_at: datetime = moment_column()
    expires_at: datetime = moment_column()


class Lease(SQLModel, table=True):
    """Periodic work that one worker at a time does.

    The current worker's right ends at `expires_at`.
    """

    __tablename__ = "lease"

    name: str = Field(primary_key=True, max_length=64)
    holder: str = Field(max_length=255)
    expires_at: datetime = moment_column()


metadata = SQLModel.metadata
