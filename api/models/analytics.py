"""What a client may ask of analytics."""

from datetime import datetime
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from core.dialect import Granularity
from core.filters import Moment
from core.ids import ProjectId, TargetType
from core.queries.analytics import Scope
from core.queries.trace_figures import Period, TraceFigure
from core.text import Label

Metric = Annotated[Label, Field(min_length=1, description="Scores by exactly this metric.")]
Buckets = Annotated[int, Field(ge=1, le=100, description="How many, of equal width.")]


def _check_order(lower: str, start: datetime | None, upper: str, end: datetime | None) -> None:
    if start and end and start >= end:
        raise ValueError(f"{lower} must be before {upper}")


class ScoreWindowQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")

    date_from: Moment | None = Field(None, description="Scores made at this moment or later.")
    date_to: Moment | None = Field(None, description="Scores made before this moment.")

    @model_validator(mode="after")
    def _dates_in_order(self) -> Self:
        _check_order("date_from", self.date_from, "date_to", self.date_to)
        return self

    def scope(
        self, project_id: ProjectId, target_type: TargetType, metric_name: str | None = None
    ) -> Scope:
        return Scope(project_id, target_type, metric_name, self.date_from, self.date_to)


class TrendQuery(ScoreWindowQuery):
    metric_name: Metric | None = Field(None, description="One metric; all of them when absent.")
    granularity: Granularity = Granularity.DAY


class DistributionQuery(ScoreWindowQuery):
    metric_name: Metric
    buckets: Buckets = 10


class TraceFiguresQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")

    metric: TraceFigure = Field(
        TraceFigure.VOLUME,
        description="volume, errors and latency answer counts and latencies over time; cost and "
        "tokens what was spent over time; models what each model was called for.",
    )
    granularity: Granularity = Granularity.DAY
    started_after: Moment | None = Field(
        None, description="Traces, or calls of models, that started at this moment or later."
    )
    started_before: Moment | None = Field(
        None, description="Traces, or calls of models, that started before this moment."
    )

    @model_validator(mode="after")
    def _dates_in_order(self) -> Self:
        _check_order("started_after", self.started_after, "started_before", self.started_before)
        return self

    @property
    def period(self) -> Period:
        return Period(self.started_after, self.started_before)
