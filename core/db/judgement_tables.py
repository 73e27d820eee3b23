"""The tables of judges' answers, and of the questions that workers are asking now."""

from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import Column, Index
from sqlmodel import Field, SQLModel

from core.db.column_types import Json
from core.db.table_columns import moment_column


class JudgementRow(SQLModel, table=True):
    """A completed answer of a judge under the hash of everything that was asked."""

    __tablename__ = "judgement"
    __table_args__: ClassVar[Any] = (Index("ix_judgement_created", "project_id", "created_at"),)

    project_id: UUID = Field(primary_key=True, foreign_key="project.id")
    key: str = Field(primary_key=True, max_length=64)
    model: str = Field(max_length=255)
    answer: dict[str, Any] = Field(sa_column=Column(Json, nullable=False))
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: float | None = None
    calls: int = 1
    repair_calls: int = Field(default=0, sa_column_kwargs={"server_default": "0"})
    repair_cost_usd: float | None = Field(default=0.0, sa_column_kwargs={"server_default": "0"})
    paid_by: str | None = Field(default=None, max_length=80)
    created_at: datetime = moment_column()


class JudgementClaim(SQLModel, table=True):
    """A question that a worker is asking now.

    The row outlives the question by only a few seconds.
    """

    __tablename__ = "judgement_claim"

    project_id: UUID = Field(primary_key=True)
    key: str = Field(primary_key=True, max_length=64)
    owner: str = Field(max_length=255)
    expires_at: datetime = moment_column()
