"""Tables of comparisons, and of the noise of judges."""

from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import Column, ForeignKey, Index, Uuid
from sqlmodel import Field, SQLModel

from core.db.column_types import Choice, Json
from core.db.table_columns import moment_column, text_column
from core.ids import RunStatus


class Comparison(SQLModel, table=True):
    """The comparison of two runs.

    The result stays readable when a run is deleted.

    `result` is empty until `status` is COMPLETED, because a workflow compares many pairs.
    """

    __tablename__ = "comparison"
    __table_args__: ClassVar[Any] = (
        Index("ix_comparison_created", "project_id", "created_at", "id"),
        Index(
            "ix_comparison_runs",
            *("project_id", "baseline_run_id", "candidate_run_id", "created_at"),
        ),
    )

    id: UUID = Field(primary_key=True)
    project_id: UUID = Field(foreign_key="project.id")
    baseline_run_id: UUID
    candidate_run_id: UUID
    settings: dict[str, Any] = Field(sa_column=Column(Json, nullable=False))
    result: dict[str, Any] = Field(sa_column=Column(Json, nullable=False))
    status: RunStatus = Field(
        default=RunStatus.COMPLETED,
        sa_column=Column(Choice(RunStatus), nullable=False, server_default="COMPLETED"),
    )
    error_message: str | None = text_column()
    created_at: datetime = moment_column()


class NoiseMeasurement(SQLModel, table=True):
    """A sample of a run's pairs, judged again. `id` is the id of the run that judges the sample."""

    __tablename__ = "noise_measurement"
    __table_args__: ClassVar[Any] = (
        Index("ix_noise_measurement_created", "project_id", "created_at", "id"),
    )

    id: UUID = Field(primary_key=True)
    project_id: UUID = Field(foreign_key="project.id")
    run_id: UUID
    model: str = Field(max_length=255)
    sample: int
    seed: int
    status: RunStatus = Field(sa_column=Column(Choice(RunStatus), nullable=False))
    created_at: datetime = moment_column()


class MetricNoise(SQLModel, table=True):
    """How much a metric's scores differed when a judge judged the same items again."""

    __tablename__ = "metric_noise"
    __table_args__: ClassVar[Any] = (
        Index(
            "ix_metric_noise_newest",
            *("project_id", "metric", "metric_version", "model", "created_at"),
        ),
    )

    measurement_id: UUID = Field(
        sa_column=Column(
            Uuid, ForeignKey("noise_measurement.id", ondelete="CASCADE"), primary_key=True
        )
    )
    metric: str = Field(primary_key=True, max_length=255)
    metric_version: str = Field(max_length=255)
    model: str = Field(max_length=255)
    project_id: UUID = Field(foreign_key="project.id")
    pairs: int
    spread: float
    mean_difference: float
    created_at: datetime = moment_column()
