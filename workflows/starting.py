"""What a run's workflow is started with, whoever starts it: the API, a worker, a monitor."""

from dataclasses import asdict, dataclass, field
from typing import Any, Self

from temporalio.common import (
    Priority,
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDReusePolicy,
)

from activities.inputs import RunFacts
from core.ids import RunStatus
from core.temporal import MONITOR, PROJECT, RUN_STATUS, TARGET_TYPE, run_workflow_id
from workflows.evaluation import EvalRunInput
from workflows.policies import Limits


@dataclass(frozen=True, slots=True, kw_only=True)
class RunToStart(RunFacts):
    """What Temporal needs to know of a run row, and what its UI shows."""

    limits: Limits = field(default_factory=Limits)

    @classmethod
    def from_facts(cls, facts: RunFacts) -> Self:
        return cls(**asdict(facts))


def run_input(run: RunToStart) -> EvalRunInput:
    return EvalRunInput(
        project_id=run.project_id,
        run_id=run.run_id,
        target_type=run.target_type,
        metric_count=len(run.metric_names),
        model=run.model,
        fresh=run.fresh,
        limits=run.limits,
    )


def run_options(run: RunToStart, task_queue: str) -> dict[str, Any]:
    """For a client's start and for a child's alike."""
    attributes = [
        SearchAttributePair(PROJECT, str(run.project_id)),
        SearchAttributePair(RUN_STATUS, RunStatus.PENDING.value),
        SearchAttributePair(TARGET_TYPE, run.target_type.value),
    ]
    if run.monitor_id is not None:
        attributes.append(SearchAttributePair(MONITOR, str(run.monitor_id)))
    return {
        "id": run_workflow_id(run.run_id),
        "task_queue": task_queue,
        "id_reuse_policy": WorkflowIDReusePolicy.REJECT_DUPLICATE,
        "search_attributes": TypedSearchAttributes(attributes),
        # Its batches and activities inherit it.
        "priority": Priority(fairness_key=str(run.run_id)),
        "memo": {"name": run.name, "metrics": run.metric_names, "model": run.model},
        "static_summary": _summary(run),
        "static_details": _details(run),
    }


def _summary(run: RunToStart) -> str:
    """At most 200 bytes are shown."""
    return f"{run.name or 'Evaluation'} · {', '.join(run.metric_names)}"[:150]


def _details(run: RunToStart) -> str:
    facts = {
        "Run": run.run_id,
        "Project": run.project_id,
        "Judge": run.model,
        "Metrics": ", ".join(run.metric_names),
        "Sampling rate": run.sampling_rate,
    }
    return "\n".join(f"- **{name}**: {value}" for name, value in facts.items())
