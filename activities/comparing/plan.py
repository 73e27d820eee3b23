"""The plan of a comparison, checked before any score is read."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Self
from uuid import UUID

from core.db.database import Reader
from core.errors import Invalid
from core.ids import ProjectId, TargetType
from core.pairing import Key
from core.queries import comparison_scores, run_rows, run_targets, score_versions

if TYPE_CHECKING:
    from core.db.tables import Comparison, EvalRun

MAX_AT_ONCE: Final = 100_000
"""A request compares the runs itself if the larger run has at most this many pairs."""

_DEFAULT_THRESHOLD: Final = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonOptions:
    """The request of a client. `metrics` is None for all common metrics."""

    baseline: UUID
    candidate: UUID
    alpha: float
    margin: float
    pair_by: str | None = None
    metrics: Sequence[str] | None = None

    @classmethod
    def of(cls, row: "Comparison") -> Self:
        """The request of a stored comparison."""
        return cls(
            baseline=row.baseline_run_id,
            candidate=row.candidate_run_id,
            **{name: row.settings[name] for name in ("alpha", "margin", "pair_by", "metrics")},
        )


@dataclass(frozen=True, slots=True)
class Plan:
    """`pairs`: number of pairs of the larger run.

    `thresholds` and `versions` are by metric, versions also per side.
    """

    project_id: ProjectId
    runs: "tuple[EvalRun, EvalRun]"
    key: Key
    alpha: float
    margin: float
    metrics: list[str]
    missing: list[str]
    pairs: int
    thresholds: dict[str, float] = field(default_factory=dict)
    versions: dict[str, tuple[str | None, str | None]] = field(default_factory=dict)

    @property
    def settings(self) -> dict[str, Any]:
        """The settings in the form of the comparison's row."""
        return {
            "pair_by": self.key.rule,
            "alpha": self.alpha,
            "margin": self.margin,
            "same_model": self.model is not None,
            "metrics": self.metrics,
            # When a person changes a score, comparing the same runs again gives a new comparison.
            "revisions": [run.figures_revision for run in self.runs],
        }

    @property
    def model(self) -> str | None:
        """The judge of both runs; None if their judges differ."""
        models = {run.model for run in self.runs}
        return models.pop() if len(models) == 1 else None


async def plan(db: Reader, project_id: ProjectId, request: ComparisonOptions) -> Plan:
    """Raises Invalid and NotFound."""
    baseline = await run_rows.get(db, project_id, request.baseline)
    candidate = await run_rows.get(db, project_id, request.candidate)
    _check_comparable(baseline, candidate)
    metrics, missing = _metrics(request.metrics, baseline, candidate)
    of_traces = baseline.target_type is TargetType.TRACE
    key = Key(request.pair_by or ("trace_id" if of_traces else "session_id"))
    if key.needs_labels and not of_traces:
        raise Invalid("Session runs are paired by session_id.")
    runs = (baseline, candidate)
    counts = [await comparison_scores.count(db, project_id, run, metrics) for run in runs]
    for run, count in zip(runs, counts, strict=True):
        await run_targets.check_whole(db, run)
        if run.evaluated_count and not count:
            raise Invalid(
                f"The scores of run {run.id} were deleted, with its traces or by age. Comparisons "
                "that were made before keep their results."
            )
    comparison_plan = Plan(
        project_id, runs, key, request.alpha, request.margin, metrics, missing, pairs=max(counts)
    )
    for metric in metrics:
        (threshold, version), (_, other) = [
            await score_versions.of_run(db, project_id, run.id, metric) for run in runs
        ]
        comparison_plan.thresholds[metric] = _DEFAULT_THRESHOLD if threshold is None else threshold
        comparison_plan.versions[metric] = (version, other)
    return comparison_plan


def _check_comparable(baseline: "EvalRun", candidate: "EvalRun") -> None:
    """Raises Invalid."""
    if baseline.target_type is not candidate.target_type:
        raise Invalid("One run judges traces and the other sessions; compare runs of one kind.")
    for run in (baseline, candidate):
        if run.completed_at is None:
            raise Invalid(f"Run {run.id} has not ended; compare runs that have ended.")


def _metrics(
    requested: Sequence[str] | None, baseline: "EvalRun", candidate: "EvalRun"
) -> tuple[list[str], list[str]]:
    """The metrics to compare, and the metrics that only one run has."""
    both = [name for name in baseline.metric_names if name in candidate.metric_names]
    unknown = [name for name in requested or [] if name not in both]
    if unknown:
        raise Invalid(
            f"Not a metric of both runs: {', '.join(unknown)}. Both have: "
            f"{', '.join(both) or 'none'}."
        )
    if not both:
        raise Invalid("The two runs have no metric in common.")
    missing = sorted(set(baseline.metric_names) ^ set(candidate.metric_names))
    return [name for name in both if name in (requested or both)], missing
