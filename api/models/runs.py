"""An evaluation run on the wire."""

from datetime import datetime
from typing import Any, Self
from uuid import UUID

from pydantic import BaseModel, Field

from core.ids import RunStatus, TargetType
from core.tables import EvalRun
from workflows.evaluation import RunProgress


class Usage(BaseModel):
    judge_calls: int
    cached_calls: int = Field(description="Answers taken from earlier, equal questions.")
    prompt_tokens: int
    completion_tokens: int
    cost_usd: float | None = Field(None, description="Null where a model's price is unknown.")


class EvalRunBody(BaseModel):
    """One evaluation run, as it stands."""

    id: UUID
    name: str | None
    status: RunStatus = Field(
        description="PENDING: no worker has begun. RUNNING: resolving or judging. COMPLETED: "
        "every pair has a score, some of which may be FAILED. FAILED: the run could not go on, or "
        "was cancelled."
    )
    metric_names: list[str]
    total_traces: int = Field(
        description="What there is to judge, traces or sessions, after filters and sampling."
    )
    evaluated_count: int = Field(
        description="Traces or sessions whose every metric has come to an end, well or badly."
    )
    failed_count: int = Field(description="Pairs of target and metric that ended FAILED.")
    created_at: datetime
    completed_at: datetime | None
    project_id: UUID
    target_type: TargetType
    filters: dict[str, Any] = Field(description="As given, nulls left out.")
    sampling_rate: float
    model: str
    fresh: bool = Field(description="Whether the judge is asked again what it answered before.")
    monitor_id: UUID | None
    error_message: str | None = Field(description="Why the run FAILED, and what to do about it.")
    total_targets: int = Field(description="The same number as `total_traces`.")
    activity: str | None = Field(
        description="What the run is doing or waiting for; null once it is over."
    )
    usage: Usage | None = Field(description="What judging has cost; null until the run is over.")

    @classmethod
    def of(
        cls, row: EvalRun, progress: RunProgress | None = None, *, activity: str | None = None
    ) -> Self:
        """The row, under what its workflow says where it was asked."""
        live = progress or row
        return cls(
            id=row.id,
            name=row.name,
            status=live.status,
            metric_names=row.metric_names,
            total_traces=live.total_targets,
            evaluated_count=live.evaluated_count,
            failed_count=live.failed_count,
            created_at=row.created_at,
            completed_at=row.completed_at,
            project_id=row.project_id,
            target_type=row.target_type,
            filters=row.filters,
            sampling_rate=row.sampling_rate,
            model=row.model,
            fresh=row.fresh,
            monitor_id=row.monitor_id,
            error_message=live.error_message,
            total_targets=live.total_targets,
            activity=progress.activity if progress else activity,
            usage=None if row.usage is None else Usage.model_validate(row.usage),
        )
