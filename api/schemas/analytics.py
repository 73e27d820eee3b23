"""Requests for analytics."""

from typing import Annotated

from pydantic import ConfigDict, Field

from core.db.sql_functions import Granularity
from core.ids import ProjectId, TargetType
from core.moments import Moment, MomentRange
from core.queries.score_analytics import ScoreWindow
from core.queries.trace_analytics import Period, TraceFigure
from core.safe_text import Label

Metric = Annotated[Label, Field(min_length=1, description="Scores by exactly this metric.")]
Buckets = Annotated[int, Field(ge=1, le=100, description="Number of buckets, of equal width.")]


class ScoreWindowQuery(MomentRange):
    model_config = ConfigDict(extra="forbid")
    range_fields = ("date_from", "date_to")

    date_from: Moment | None = Field(None, description="Scores made at this moment or later.")
    date_to: Moment | None = Field(None, description="Scores made before this moment.")

    def scope(
        self, project_id: ProjectId, target_type: TargetType, metric_name: str | None = None
    ) -> ScoreWindow:
        return ScoreWindow(project_id, target_type, metric_name, self.date_from, self.date_to)


class TrendQuery(ScoreWindowQuery):
    metric_name: Metric | None = Field(None, description="Only this metric; all metrics if absent.")
    granularity: Granularity = Granularity.DAY


class DistributionQuery(ScoreWindowQuery):
    metric_name: Metric
    buckets: Buckets = 10


class TraceFiguresQuery(MomentRange):
    model_config = ConfigDict(extra="forbid")
    range_fields = ("started_after", "started_before")

    metric: TraceFigure = Field(
        TraceFigure.VOLUME,
        description=(
            "`volume`, `errors` and `latency`: counts and latencies over time. `cost` and "
            "`tokens`: usage over time. `models`: usage per model."
        ),
    )
    granularity: Granularity = Granularity.DAY
    started_after: Moment | None = Field(
        None, description="Traces, or calls of models, that started at this moment or later."
    )
    started_before: Moment | None = Field(
        None, description="Traces, or calls of models, that started before this moment."
    )

    @property
    def period(self) -> Period:
        return Period(self.started_after, self.started_before)
