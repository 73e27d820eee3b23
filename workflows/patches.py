"""Changes of workflow code that older histories may lack."""

from typing import Final

from temporalio import workflow

LEGACY_RUN: Final = "EvalRun"
LEGACY_BATCH: Final = "EvalBatch"
LEGACY_MONITOR: Final = "Monitor"

REPORTS_GO_ON: Final = "reports-go-on"
"""Before this patch a batch stopped reporting after twenty reports."""

WATCHED: Final = "watched"
"""Before this patch a run's page did not show what the run waits for."""

LEAD_METRIC_FIRST: Final = "one-metric-ahead"
"""Before this patch every batch judged target by target."""

LOOKS_AGAIN: Final = "looks-again"
"""Before this patch a sweep looked for projects once. It is asked for by `workflow.patched`."""


def patched(patch_id: str) -> bool:
    """`workflow.patched` for the old types; the current types have every patch from the start."""
    is_legacy = workflow.info().workflow_type in (LEGACY_RUN, LEGACY_BATCH, LEGACY_MONITOR)
    return not is_legacy or workflow.patched(patch_id)
