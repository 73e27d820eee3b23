"""The tables of projects, API keys, workers, audit entries and idempotency keys."""

from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import Boolean, Column, Index, false
from sqlmodel import Field, SQLModel

from core.db.column_types import Json
from core.db.table_columns import json_column, moment_column, sum_column, text_column


class Project(SQLModel, table=True):
    """`deleted_at` is set while the project is being deleted; `deleted_rows` counts the deleted
    rows. `retention_…_days`: null for the setting of the installation, 0 for ever.
    """

    __tablename__ = "project"

    id: UUID = Field(primary_key=True)
    name: str = Field(max_length=128, unique=True)
    description: str | None = text_column()
    monthly_budget_usd: float | None = None
    retention_traces_days: int | None = None
    retention_runs_days: int | None = None
    retention_judgements_days: int | None = None
    retention_usage_days: int | None = None
    created_at: datetime = moment_column()
    deleted_at: datetime | None = moment_column(nullable=True)
    deleted_rows: int = sum_column()


class ApiKey(SQLModel, table=True):
    """Only the SHA-256 of a key is stored; `prefix` is what a person recognizes it by.

    `project_id` is the home project: the project of a request that names none. With `any_project` a
    request may name another project.
    """

    __tablename__ = "api_key"

    id: UUID = Field(primary_key=True)
    name: str = Field(max_length=128)
    prefix: str = Field(max_length=16)
    key_hash: str = Field(max_length=64, unique=True)
    scope: str = Field(max_length=16)
    project_id: UUID | None = Field(default=None, foreign_key="project.id")
    any_project: bool = Field(
        default=False, sa_column=Column(Boolean, nullable=False, server_default=false())
    )
    created_at: datetime = moment_column()
    expires_at: datetime | None = moment_column(nullable=True)
    revoked_at: datetime | None = moment_column(nullable=True)


class AuditEntry(SQLModel, table=True):
    """`key_id` null: the command line. Entries outlive the key and project they name."""

    __tablename__ = "audit_entry"
    __table_args__: ClassVar[Any] = (
        Index("ix_audit_created", "created_at", "id"),
        Index("ix_audit_project", "project_id", "created_at", "id"),
    )

    id: UUID = Field(primary_key=True)
    created_at: datetime = moment_column()
    actor: str = Field(max_length=128)
    key_id: UUID | None = None
    project_id: UUID | None = None
    action: str = Field(max_length=64)
    target: str | None = text_column()
    request_id: str | None = Field(default=None, max_length=128)


class Worker(SQLModel, table=True):
    """What each worker process offers: provider names and availability, never a key.

    `throttles`: the state of its rate control; null for a worker of an earlier release.
    `polled_at`: when Temporal last confirmed that the worker polls for work.
    """

    __tablename__ = "worker"

    id: str = Field(primary_key=True, max_length=255)
    started_at: datetime = moment_column()
    last_seen: datetime = moment_column()
    polled_at: datetime | None = moment_column(nullable=True)
    judge_max_per_second: float | None = None
    default_model: str = Field(max_length=255)
    providers: list[dict[str, Any]] = Field(sa_column=Column(Json, nullable=False))
    throttles: list[dict[str, Any]] | None = json_column()


class IdempotencyKey(SQLModel, table=True):
    """`response` is null until the run's first answer is known."""

    __tablename__ = "idempotency_key"

    project_id: UUID = Field(primary_key=True, foreign_key="project.id")
    key: str = Field(primary_key=True, max_length=255)
    body_hash: str = Field(max_length=64)
    run_id: UUID
    response: dict[str, Any] | None = json_column()
    created_at: datetime = moment_column()
