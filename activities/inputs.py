"""What travels through Temporal's history: ids, counts and short reasons, nothing else."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Self
from uuid import UUID

from core.ids import RunStatus, TargetType

if TYPE_CHECKING:
    from core.tables import EvalRun


@dataclass(frozen=True)
class RunRef:
    project_id: UUID
    run_id: UUID


class PairEnd(StrEnum):
    SCORED = "SCORED"
    FAILED = "FAILED"
    CLOSED = "CLOSED"
    """The run was cancelled or deleted before this pair was judged."""


@dataclass(frozen=True)
class Pair:
    run: RunRef
    target_type: TargetType
    target_id: str
    metric: str
    model: str
    fresh: bool = False


@dataclass(frozen=True)
class FailedPair:
    pair: Pair
    reason: str


@dataclass(frozen=True)
class Slice:
    """Targets of a run numbered `first` to `last`, both included."""

    run: RunRef
    first: int
    last: int


@dataclass(frozen=True)
class SliceTarget:
    target_id: str
    metrics: list[str]
    failed: int


@dataclass(frozen=True)
class Resolved:
    targets: int
    pairs: int


@dataclass(frozen=True)
class Ending:
    run: RunRef
    status: RunStatus
    error_message: str | None = None


@dataclass(frozen=True)
class Ended:
    """As the row has it: exact counts, and the status of whichever attempt came first."""

    status: RunStatus
    total_targets: int
    evaluated: int
    failed: int
    error_message: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFacts:
    """A run row, as far as starting its workflow needs it."""

    run_id: UUID
    project_id: UUID
    target_type: TargetType
    name: str | None
    metric_names: list[str]
    model: str
    fresh: bool
    sampling_rate: float
    monitor_id: UUID | None = None

    @classmethod
    def of(cls, row: "EvalRun") -> Self:
        return cls(
            run_id=row.id,
            project_id=row.project_id,
            target_type=row.target_type,
            name=row.name,
            metric_names=row.metric_names,
            model=row.model,
            fresh=row.fresh,
            sampling_rate=row.sampling_rate,
            monitor_id=row.monitor_id,
        )


@dataclass(frozen=True)
class DueMonitor:
    """`at`: the moment the schedule meant, which is the same however often this is asked."""

    project_id: UUID
    monitor_id: UUID
    at: datetime


@dataclass(frozen=True)
class Opening:
    """`run` None: there is nothing to judge, and `note` says why."""

    run: RunFacts | None
    note: str
