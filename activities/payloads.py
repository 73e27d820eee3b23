"""Inputs and results of activities. They hold only ids, counts and short reasons, because
Temporal's history keeps them.
"""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from core.ids import RunStatus
from core.open_target import OpenTarget
from core.run_spec import RunSpec
from core.usage import Usage


@dataclass(frozen=True)
class RunRef:
    project_id: UUID
    run_id: UUID


class PairEnd(StrEnum):
    SCORED = "SCORED"
    """The pair has a score, or its target was deleted."""
    FAILED = "FAILED"
    CLOSED = "CLOSED"
    """The run was cancelled or deleted before this pair was judged."""
    PAUSED = "PAUSED"
    """The budget has no room for the next call; the pair is judged after the run is resumed."""
    OPEN = "OPEN"
    """The activity of its bundle did not judge the pair; the pair gets a separate activity."""


@dataclass(frozen=True)
class PairRef:
    """A reference to a pair. The row of the run has all other properties.

    `tried`: the usage of a bundle's activity for the pair without a score; None before a try.
    """

    run: RunRef
    target_id: str
    metric: str
    tried: Usage | None = None


@dataclass(frozen=True)
class Bundle:
    """Pairs of one target, which one activity tries together."""

    run: RunRef
    target_id: str
    metrics: list[str]

    @property
    def pairs(self) -> list[PairRef]:
        return [PairRef(self.run, self.target_id, metric) for metric in self.metrics]


@dataclass(frozen=True)
class PairTry:
    """How one try of a pair ended. `spent`: the usage, set if the pair is still open."""

    end: PairEnd
    spent: Usage | None = None


@dataclass(frozen=True)
class FailedPair:
    """`spent`: the usage of all attempts at the pair."""

    pair: PairRef
    reason: str
    spent: Usage = field(default_factory=Usage)


@dataclass(frozen=True)
class TargetRange:
    """The targets of a run numbered `first` to `last`, both included."""

    run: RunRef
    first: int
    last: int


@dataclass(frozen=True)
class JudgeRoute:
    """The judge queue of a run's pairs, and their share of the queue.

    `fairness_weight`: the queue serves its fairness keys in proportion to their weights.
    """

    task_queue: str
    fairness_weight: float = 1.0


@dataclass(frozen=True)
class OpenPairs:
    """`bundled`: one activity tries all pairs of a target. False in older histories."""

    targets: list[OpenTarget]
    route: JudgeRoute
    bundled: bool = False


@dataclass(frozen=True)
class Resolved:
    """`open_pairs`: set if the run is small enough to be judged without batches."""

    targets: int
    pairs: int
    open_pairs: OpenPairs | None = None


@dataclass(frozen=True)
class RunOutcome:
    run: RunRef
    status: RunStatus
    error_message: str | None = None


@dataclass(frozen=True)
class RecordedOutcome:
    """The outcome in the row: exact counts, and the status that the first writer stored."""

    status: RunStatus
    total_targets: int
    evaluated: int
    failed: int
    error_message: str | None = None


@dataclass(frozen=True)
class DueMonitor:
    """`at`: the scheduled time, which is the same in every attempt."""

    project_id: UUID
    monitor_id: UUID
    at: datetime


@dataclass(frozen=True)
class DueRun:
    """`run` is None if there is nothing to judge; `note` has the reason."""

    run: RunSpec | None
    note: str
