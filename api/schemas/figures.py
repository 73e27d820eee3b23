"""Response bodies of the figures of runs."""

from typing import TYPE_CHECKING, Self

from pydantic import BaseModel, Field

from core.queries.number_sums import NumberSums
from core.queries.run_breakdown import ValueGroup
from core.queries.run_figures import BUCKETS, FailureGroup, MetricFigures

if TYPE_CHECKING:
    from core.queries.run_blame import Blame, Blamed


class MeanBody(BaseModel):
    """A mean of scores. Both fields are null without a number."""

    mean: float | None
    interval: tuple[float, float] | None = Field(
        description="95 % confidence interval of the mean; null for fewer than two numbers."
    )

    @classmethod
    def of(cls, sums: NumberSums) -> Self:
        return cls(mean=sums.mean, interval=sums.interval)


class MetricFiguresBody(MeanBody):
    """Figures of one metric in one run."""

    metric_name: str
    threshold: float = Field(description="A score at or above this value passes.")
    scored: int = Field(description="Pairs with a number.")
    passed: int
    below: int = Field(description="Number of scores below the threshold.")
    failed: int
    not_applicable: int
    histogram: list[int] = Field(
        description=f"Counts in {BUCKETS} buckets of equal width over [0, 1]; 1 is in the last.",
        min_length=BUCKETS,
        max_length=BUCKETS,
    )

    @classmethod
    def of_metric(cls, figures: MetricFigures) -> Self:
        names = ("threshold", "scored", "passed", "below", "failed", "not_applicable", "histogram")
        return cls(
            metric_name=figures.name,
            mean=figures.sums.mean,
            interval=figures.sums.interval,
            **{name: getattr(figures, name) for name in names},
        )


class FailureBody(BaseModel):
    """Failed pairs with the same reason."""

    reason: str
    count: int

    @classmethod
    def of(cls, group: FailureGroup) -> Self:
        return cls(reason=group.reason, count=group.count)


class RunFiguresBody(BaseModel):
    """The figures of a run so far."""

    metrics: list[MetricFiguresBody] = Field(description="In the order of the run's metrics.")
    failures: list[FailureBody] = Field(description="The most frequent reasons first, at most 50.")


class GroupMeanBody(MeanBody):
    metric_name: str
    scored: int


class GroupBody(BaseModel):
    """A group of traces of a run."""

    value: str | None = Field(description="Null: traces without a value.")
    traces: int
    metrics: list[GroupMeanBody]

    @classmethod
    def of(cls, group: ValueGroup) -> Self:
        return cls(
            value=group.value,
            traces=group.targets,
            metrics=[
                GroupMeanBody(
                    metric_name=name, scored=sums.count, mean=sums.mean, interval=sums.interval
                )
                for name, sums in sorted(group.sums.items())
            ],
        )


class BlamedBody(BaseModel):
    """A tool, or the answers of the model, with the findings against it."""

    name: str
    findings: int
    traces: int
    scores: int
    most_often: str = Field(description="The most frequent text of these findings, truncated.")

    @classmethod
    def of(cls, blamed: "Blamed") -> Self:
        return cls(
            name=blamed.name,
            findings=blamed.findings,
            traces=len(blamed.targets),
            scores=len(blamed.score_ids),
            most_often=blamed.most_often,
        )


class RunBlameBody(BaseModel):
    """The tools that findings of a run blame."""

    findings: int = Field(description="Number of all findings against the agent.")
    complete: bool = Field(description="False if only the first 20,000 scores were read.")
    items: list[BlamedBody] = Field(description="Most findings first.")

    @classmethod
    def of(cls, blame: "Blame", limit: int) -> Self:
        items = [BlamedBody.of(one) for one in blame.ranked[:limit]]
        return cls(findings=blame.total, complete=blame.complete, items=items)
