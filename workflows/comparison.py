"""Compares two runs with too many pairs for one request."""

from uuid import UUID

from temporalio import workflow
from temporalio.exceptions import FailureError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from activities.comparisons import Comparisons
    from core.temporal.client import COMPARISON_WORKFLOW
    from workflows.policies import BOOKKEEPING, COMPARING
    from workflows.stop_reason import stop_reason


@workflow.defn(name=COMPARISON_WORKFLOW)
class ComparisonWorkflow:
    """Compares two runs; the row of the comparison shows its status to clients."""

    @workflow.run
    async def run(self, project_id: UUID, comparison_id: UUID) -> None:
        try:
            await workflow.execute_activity_method(
                Comparisons.compare, args=[project_id, comparison_id], **COMPARING
            )
        except FailureError as error:
            if is_cancelled_exception(error):
                raise
            await workflow.execute_activity_method(
                Comparisons.fail,
                args=[project_id, comparison_id, stop_reason(error)],
                **BOOKKEEPING,
            )
