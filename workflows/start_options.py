"""The start options of a run's workflow, for starts by the API, a worker or a monitor."""

from typing import Any, Final

from temporalio.common import (
    Priority,
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDReusePolicy,
)

from activities.payloads import OpenPairs
from core.ids import RunStatus
from core.run_spec import RunSpec
from core.safe_text import plain_markdown
from core.temporal.client import (
    MONITOR,
    PROJECT,
    RUN_NAME,
    RUN_STATUS,
    TARGET_TYPE,
    run_workflow_id,
)
from workflows.inputs import EvalRunInput
from workflows.policies import CURRENT_LIMITS, RUN_PRIORITY_KEY, Limits

MAX_NAME: Final = 120
"""Maximum characters of a run's name in a search attribute, which has room for 255 bytes in SQL."""


def run_input(
    spec: RunSpec, *, limits: Limits | None = None, open_pairs: OpenPairs | None = None
) -> EvalRunInput:
    return EvalRunInput(spec=spec, limits=limits or CURRENT_LIMITS, open_pairs=open_pairs)


def run_options(spec: RunSpec, task_queue: str) -> dict[str, Any]:
    """Options for a start by a client and for a child workflow."""
    attributes = [
        SearchAttributePair(PROJECT, str(spec.project_id)),
        SearchAttributePair(RUN_STATUS, RunStatus.RUNNING.value),
        SearchAttributePair(RUN_NAME, _title(spec)[:MAX_NAME]),
        SearchAttributePair(TARGET_TYPE, spec.target_type.value),
    ]
    if spec.monitor_id is not None:
        attributes.append(SearchAttributePair(MONITOR, str(spec.monitor_id)))
    return {
        "id": run_workflow_id(spec.run_id),
        "task_queue": task_queue,
        "id_reuse_policy": WorkflowIDReusePolicy.REJECT_DUPLICATE,
        "search_attributes": TypedSearchAttributes(attributes),
        # Batches and activities of the run inherit the fairness key.
        "priority": Priority(priority_key=RUN_PRIORITY_KEY, fairness_key=str(spec.project_id)),
        "memo": {"name": spec.name, "metrics": spec.metric_names, "model": spec.model},
        "static_summary": _summary(spec),
        "static_details": _details(spec),
    }


def _title(spec: RunSpec) -> str:
    return spec.name or f"Evaluation {str(spec.run_id)[:8]}"


def _summary(spec: RunSpec) -> str:
    """At most 200 bytes, because Temporal shows no more."""
    return plain_markdown(f"{spec.name or 'Evaluation'} · {', '.join(spec.metric_names)}"[:120])


def _details(spec: RunSpec) -> str:
    facts = {
        "Run": spec.run_id,
        "Project": spec.project_id,
        "Judge": spec.model,
        "Metrics": ", ".join(spec.metric_names),
        "Sampling rate": spec.sampling_rate,
    }
    return "\n".join(f"- **{name}**: {plain_markdown(str(value))}" for name, value in facts.items())
