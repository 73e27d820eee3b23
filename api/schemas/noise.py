"""Request and response bodies of noise measurements."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from core.ids import RunStatus

if TYPE_CHECKING:
    from core.db.tables import MetricNoise, NoiseMeasurement


class NoiseRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    run_id: UUID = Field(description="A run that has ended.")
    sample: int = Field(
        50,
        ge=1,
        le=1000,
        description="Targets to judge again, and maximum number of pairs per metric.",
    )
    seed: int = Field(
        20_260, ge=0, le=2**31 - 1, description="The same seed draws the same targets."
    )


class MetricNoiseBody(BaseModel):
    metric: str
    metric_version: str
    pairs: int = Field(description="Pairs that were judged twice.")
    spread: float = Field(
        description="Standard deviation of the difference between two judgings of one item."
    )
    mean_difference: float = Field(description="Second judgement minus first.")


class NoiseBody(BaseModel):
    id: UUID = Field(description="Also the id of the run that judges the sample again.")
    project_id: UUID
    run_id: UUID
    status: RunStatus = Field(
        description="RUNNING until the second run has ended, then the status of that run."
    )
    model: str
    sample: int
    seed: int
    metrics: list[MetricNoiseBody] = Field(
        description=(
            "Empty until the status is COMPLETED. Omits metrics whose version has changed since "
            "the first judgement."
        )
    )
    created_at: datetime

    @classmethod
    def of(cls, row: "NoiseMeasurement", results: "Sequence[MetricNoise]") -> Self:
        fields = ("id", "project_id", "run_id", "status", "model", "sample", "seed", "created_at")
        return cls(
            **{name: getattr(row, name) for name in fields},
            metrics=[MetricNoiseBody.model_validate(one, from_attributes=True) for one in results],
        )
