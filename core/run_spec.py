"""The specification of a run, which travels unchanged from the request to the judge call."""

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Self
from uuid import UUID

from core.ids import TargetType

if TYPE_CHECKING:
    from core.db.tables import EvalRun


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenRunLimits:
    """Limits of concurrently open runs.

    A fifth more runs may be open if their models have few open runs: runs whose model gives no
    answers stay open for long, and would otherwise keep the runs of all other models waiting.
    """

    per_project: int
    in_all: int

    @property
    def more_per_project(self) -> int:
        return self.per_project // 5

    @property
    def more_in_all(self) -> int:
        return self.in_all // 5


@dataclass(frozen=True, slots=True, kw_only=True)
class RunQuota:
    """Limits of a project: unfinished runs, and pairs per day."""

    unfinished_runs: int
    pairs_per_day: int

    @property
    def too_many_runs(self) -> str:
        return (
            f"This project has {self.unfinished_runs} runs that have not ended, as many as "
            "ASSAY_MAX_UNFINISHED_RUNS allows."
        )

    @property
    def too_many_pairs(self) -> str:
        return (
            f"This project opened runs of {self.pairs_per_day} pairs within 24 hours, as many as "
            "ASSAY_MAX_PAIRS_PER_DAY allows."
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSpec:
    """The options of a run. Each field is a column of `eval_run` under the same name.

    The filters are not included: they may list thousands of ids, and only the activity that
    resolves the targets needs them.

    `max_cost_usd` and `max_tokens` are the budget that the run began with. A resumed run may have a
    higher budget; the budget account of the run has the current one.
    """

    run_id: UUID
    project_id: UUID
    target_type: TargetType
    metric_names: list[str]
    model: str
    name: str | None = None
    sampling_rate: float = 1.0
    fresh: bool = False
    bundle: bool = True
    max_cost_usd: float | None = None
    max_tokens: int | None = None
    signal_weights: dict[str, float] | None = None
    monitor_id: UUID | None = None

    @property
    def has_budget(self) -> bool:
        return self.max_cost_usd is not None or self.max_tokens is not None

    @classmethod
    def of(cls, row: "EvalRun") -> Self:
        return cls(run_id=row.id, **{name: getattr(row, name) for name in _COLUMNS})

    def columns(self) -> dict[str, Any]:
        """The options in the form of the columns of `eval_run`."""
        return {"id": self.run_id} | {name: getattr(self, name) for name in _COLUMNS}


_COLUMNS = tuple(field.name for field in fields(RunSpec) if field.name != "run_id")
