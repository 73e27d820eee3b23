"""Request and response bodies of comparisons of two runs."""

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from core.ids import RunStatus
from core.safe_text import Label
from core.statistics import noise

if TYPE_CHECKING:
    from core.db.tables import Comparison, MetricNoise
    from core.queries.noise_rows import Judged


class ComparisonRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    baseline: UUID = Field(description="Id of the run to compare with.")
    candidate: UUID = Field(description="Id of the run that is judged better or worse.")
    pair_by: Label | None = Field(
        None,
        max_length=255,
        description=(
            "Rule that pairs the items: `trace_id` (default; `session_id` for session runs), "
            "`metadata.<path>`, or `tag:<prefix>`."
        ),
    )
    metrics: list[Label] | None = Field(
        None,
        min_length=1,
        max_length=50,
        description="Metrics to compare. Default: all common metrics.",
    )
    alpha: float = Field(0.05, gt=0, lt=0.5, description="Level of the intervals and tests.")
    margin: float = Field(
        0.02, ge=0, le=1, description="Differences within ± margin count as equivalent."
    )


class IntervalBody(BaseModel):
    low: float
    high: float


class ChangedItem(BaseModel):
    """An item whose score changed, with both scores."""

    key: str
    baseline: float
    candidate: float
    difference: float
    baseline_score_id: UUID
    candidate_score_id: UUID
    change: Literal["pass to fail", "fail to pass", "none"]


class UnpairedBody(BaseModel):
    """Items without a number on both sides. Lists hold at most 100 keys; counts are complete."""

    only_baseline: int
    only_candidate: int
    failed: int
    not_applicable: int
    listed: dict[str, list[str]]


class BlameShift(BaseModel):
    """A step or a kind of finding, with the number of scores per side that blame it."""

    name: str
    baseline: int
    candidate: int
    baseline_rate: float = Field(description="Share of the baseline's scores, from 0 to 1.")
    candidate_rate: float
    difference: float = Field(description="The candidate's rate minus the baseline's rate.")


class BlameBody(BaseModel):
    """Changes of the findings against the agent: at most 20 steps and 20 kinds, largest first."""

    baseline_scores: int
    candidate_scores: int
    complete: bool = Field(description="False if only the first 20,000 scores of a run were read.")
    steps: list[BlameShift] = Field(description="Tools and steps that findings name.")
    kinds: list[BlameShift] = Field(description="Kinds of finding with their verdict.")


class MetricComparison(BaseModel):
    metric: str
    verdict: Literal["better", "worse", "equivalent", "cannot tell"]
    summary: str = Field(description="The verdict in one sentence.")
    pairs: int
    clusters: int = Field(description="Independent groups of pairs: sessions, or keys.")
    baseline_mean: float
    candidate_mean: float
    difference: float = Field(description="Candidate minus baseline.")
    interval: IntervalBody | None = Field(
        description="Bootstrap interval of the difference (BCa, clusters resampled)."
    )
    wins: int
    ties: int
    losses: int
    passed_both: int
    passed_only_baseline: int
    passed_only_candidate: int
    mcnemar_p: float
    p_value: float = Field(description="Sign-flip test over clusters, corrected by Holm.")
    d_z: float | None
    further_pairs: int | None = Field(
        description="Further pairs needed to show the observed difference with 80 % power."
    )
    noise: float | None = Field(
        None,
        description=(
            "Smallest difference beyond the judge's noise; null if the noise of this judge and "
            "metric version was not measured."
        ),
    )
    noise_pairs: int | None = Field(
        None, description="Number of pairs that were judged twice for the measurement."
    )
    noise_measurement: UUID | None = Field(None, description="Id of the noise measurement.")
    model: str | None = Field(None, description="The judge, if both runs have the same judge.")
    metric_version: str | None = Field(
        None, description="The version of the metric, if it is the same in both runs."
    )
    same_version: bool = Field(description="Whether both runs used the same metric version.")
    blame: BlameBody | None = Field(
        None, description="Steps and kinds of findings that are blamed more or less."
    )
    unpaired: UnpairedBody
    most_improved: list[ChangedItem]
    most_worsened: list[ChangedItem]


class ComparisonBody(BaseModel):
    id: UUID
    project_id: UUID
    status: RunStatus = Field(
        description=(
            "COMPLETED at once for up to 100,000 pairs. For more pairs PENDING, then RUNNING "
            "until a worker has compared the runs; FAILED if it could not."
        )
    )
    error_message: str | None
    baseline: UUID
    candidate: UUID
    pair_by: str
    alpha: float
    margin: float
    same_model: bool
    metrics: list[MetricComparison] = Field(description="Empty until the status is COMPLETED.")
    missing_metrics: list[str] = Field(description="Metrics that only one of the runs has.")
    created_at: datetime

    @classmethod
    def of(cls, row: "Comparison", known: "Mapping[Judged, MetricNoise]") -> Self:
        settings = {name: row.settings[name] for name in ("pair_by", "alpha", "margin")}
        metrics = row.result.get("metrics", ())
        return cls(
            id=row.id,
            project_id=row.project_id,
            status=row.status,
            error_message=row.error_message,
            baseline=row.baseline_run_id,
            candidate=row.candidate_run_id,
            created_at=row.created_at,
            same_model=row.settings["same_model"],
            metrics=[
                MetricComparison.model_validate(_with_noise(one, known, settings["alpha"]))
                for one in metrics
            ],
            missing_metrics=row.result.get("missing_metrics", []),
            **settings,
        )


def _with_noise(
    metric: dict[str, Any], known: "Mapping[Judged, MetricNoise]", alpha: float
) -> dict[str, Any]:
    if not metric.get("model") or not metric.get("same_version") or not metric["pairs"]:
        return metric
    found = known.get((metric["metric"], metric.get("metric_version"), metric["model"]))
    if found is None:
        return metric
    return metric | {
        "noise": noise.floor(found.spread, metric["pairs"], alpha=alpha),
        "noise_pairs": found.pairs,
        "noise_measurement": found.measurement_id,
    }
