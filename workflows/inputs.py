"""Inputs and results of the workflows.

Separate from the workflow modules, which the sandbox loads again for each workflow.
"""

from dataclasses import dataclass, field
from uuid import UUID

from activities.payloads import OpenPairs, RunRef
from core.ids import RunStatus
from core.run_spec import RunSpec
from workflows.policies import Limits


@dataclass(frozen=True)
class Cursor:
    """The state that a run passes to its continuation. The run has no open batch at that moment."""

    targets: int
    pairs: int
    next_batch: int = 0
    evaluated: int = 0
    failed: int = 0


@dataclass(frozen=True)
class EvalRunInput:
    """`open_pairs`: set if the run was started with its pairs, because it is small and resolved."""

    spec: RunSpec
    limits: Limits = field(default_factory=Limits)
    cursor: Cursor | None = None
    open_pairs: OpenPairs | None = None

    @property
    def ref(self) -> RunRef:
        return RunRef(self.spec.project_id, self.spec.run_id)


@dataclass(frozen=True)
class RunProgress:
    """`activity`: one plain sentence; None when the run is over.

    `paused`: the run waits at a budget. The row of the run is marked earlier, and names the budget.
    """

    status: RunStatus
    total_targets: int
    evaluated_count: int
    failed_count: int
    activity: str | None = None
    error_message: str | None = None
    open_batches: tuple[int, ...] = ()
    paused: bool = False


@dataclass(frozen=True)
class BatchInput:
    """Targets numbered `first` to `last`, both included.

    `followed`: other batches wait until this one leaves room.
    """

    number: int
    run: RunRef
    first: int
    last: int
    limits: Limits
    followed: bool = False


@dataclass(frozen=True)
class BatchProgress:
    """The counts are totals, so that repeated or late reports do no harm.

    `draining`: every pair has begun, or waits for a pair that has begun, so another batch may open.
    `paused`: no pair begins until the run is resumed. `resumes`: how often the batch was resumed;
    None from batches of an earlier release.
    """

    number: int
    evaluated: int = 0
    failed: int = 0
    draining: bool = False
    paused: bool = False
    resumes: int | None = None


@dataclass(frozen=True)
class MonitorOutcome:
    """`run_id` is None if the monitor opened no run; `note` has the reason."""

    run_id: UUID | None
    note: str
