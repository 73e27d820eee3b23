"""Response bodies of evaluation runs."""

from datetime import datetime
from typing import TYPE_CHECKING, Any, Self
from uuid import UUID

from pydantic import BaseModel, Field

from core.ids import RunStatus, TargetType
from workflows.inputs import RunProgress

if TYPE_CHECKING:
    from core.db.tables import EvalRun


class UsageBody(BaseModel):
    judge_calls: int
    cached_calls: int = Field(description="Answers reused from earlier, equal questions.")
    prompt_tokens: int
    completion_tokens: int
    cost_usd: float | None = Field(None, description="Null if the price of the model is unknown.")
    repair_calls: int = Field(
        0,
        description="The part of `judge_calls` that repaired or repeated an earlier call for the "
        "same answer. Includes every call of a question that got no answer after retries.",
    )
    repair_cost_usd: float | None = Field(
        0.0,
        description="The part of `cost_usd` that `repair_calls` cost. Null if a price is unknown.",
    )


class BudgetBody(BaseModel):
    """The spent and reserved parts of a run's own budget."""

    max_cost_usd: float | None
    max_tokens: int | None
    spent_usd: float = Field(
        description="The cost of all billed calls, including calls whose answer no score uses."
    )
    spent_tokens: int
    open_usd: float = Field(description="Reserved for open calls.")
    open_tokens: int
    uncertain_usd: float = Field(
        description="The part of `spent_usd` that was reserved for calls with an unknown bill, "
        "because their worker was killed or the provider never answered."
    )
    overbilled_usd: float = Field(
        description="The amount by which bills exceeded their reservations."
    )
    overbilled_tokens: int


def filters_shown(filters: dict[str, Any], weights: dict[str, float] | None) -> dict[str, Any]:
    """The filters with the signal weights inside, where clients expect them."""
    return filters if weights is None else filters | {"signal_weights": weights}


class EvalRunBody(BaseModel):
    """The state of an evaluation run."""

    id: UUID
    name: str | None
    status: RunStatus = Field(
        description="PENDING: no worker has begun. RUNNING: resolving or judging. COMPLETED: "
        "every pair has a score, some of which may be FAILED. FAILED: the run could "
        "not continue, or was cancelled."
    )
    metric_names: list[str]
    total_traces: int = Field(
        description="Number of targets, traces or sessions, after filters and sampling."
    )
    evaluated_count: int = Field(description="Number of targets without open pairs.")
    failed_count: int = Field(description="Number of FAILED pairs of target and metric.")
    created_at: datetime
    completed_at: datetime | None
    project_id: UUID
    target_type: TargetType
    filters: dict[str, Any] = Field(
        description=(
            "As sent, without nulls. Lists and events show only the first 100 ids that a run "
            "names. A retry of more targets shows no ids."
        )
    )
    sampling_rate: float
    model: str
    fresh: bool = Field(
        description="Whether the judge is asked again although earlier answers are stored."
    )
    bundle: bool = Field(description="Whether the metrics of a trace are asked in one call.")
    max_cost_usd: float | None = Field(description="The run's budget in US dollars.")
    max_tokens: int | None = Field(description="The run's budget in tokens.")
    paused: bool = Field(
        description="Whether the run waits at its own budget or at the budget of its project. "
        "`activity` says how much more it needs, and `/resume` continues the run. "
        "`status` is RUNNING during a pause."
    )
    budget: BudgetBody | None = Field(None, description="Null for a run without a budget.")
    monitor_id: UUID | None
    error_message: str | None = Field(description="Why the run FAILED, and how to react.")
    total_targets: int = Field(description="Equal to `total_traces`.")
    activity: str | None = Field(
        description="What the run is doing or waiting for; null after its end."
    )
    usage: UsageBody | None = Field(description="Usage of the run; null until its end.")

    @classmethod
    def of(
        cls, row: "EvalRun", progress: RunProgress | None = None, *, activity: str | None = None
    ) -> Self:
        """The row, with the progress of its workflow if given."""
        live = progress or row
        same = {name: getattr(row, name) for name in cls.model_fields if hasattr(row, name)}
        return cls.model_validate(
            same
            | {
                "status": live.status,
                "total_traces": live.total_targets,
                "total_targets": live.total_targets,
                "evaluated_count": live.evaluated_count,
                "failed_count": live.failed_count,
                "error_message": live.error_message,
                "filters": filters_shown(row.filters, row.signal_weights),
                "activity": progress.activity if progress else activity,
                "paused": row.paused_at is not None and not live.status.terminal,
            }
        )
