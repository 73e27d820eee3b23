"""The batch type of versioned workers, pinned to the version under which it began."""

from temporalio import workflow
from temporalio.common import VersioningBehavior

with workflow.unsafe.imports_passed_through():
    from workflows.eval_batch import EvalBatchWorkflow
    from workflows.inputs import BatchInput, BatchProgress


# A separate type, because the server refuses a versioning behavior from a worker without a version.
@workflow.defn(name="EvalBatchWorkflow", versioning_behavior=VersioningBehavior.PINNED)
class PinnedEvalBatch(EvalBatchWorkflow):
    @workflow.init
    def __init__(self, batch: BatchInput) -> None:
        self._begin(batch)

    @workflow.run
    async def run(self, batch: BatchInput) -> BatchProgress:  # noqa: ARG002 - Temporal passes the input to __init__ too
        return await self._judge()
