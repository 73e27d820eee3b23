"""One batch of a run: starts a judge activity for each of its (target, metric) pairs."""

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.pairs import Pairs
    from activities.payloads import OpenPairs, TargetRange
    from workflows.inputs import BatchInput, BatchProgress
    from workflows.pair_judging import PairJudging
    from workflows.policies import BOOKKEEPING


@workflow.defn
class EvalBatchWorkflow:
    """Never continues as new, because a child that does so misses the cancellation of its
    parent.
    """

    @workflow.init
    def __init__(self, batch: BatchInput) -> None:
        self._begin(batch)

    def _begin(self, batch: BatchInput) -> None:
        self._batch = batch
        self._pairs = PairJudging(
            batch.run,
            batch.limits,
            on_end=self._report,
            on_drain=self._drain,
            on_pause=self._signal_parent,
        )
        self._draining = False
        self._began_at = self._reported_at = workflow.time()
        self._reports = self._resumes = 0

    @workflow.run
    async def run(self, batch: BatchInput) -> BatchProgress:  # noqa: ARG002 - Temporal passes the input to __init__ too
        return await self._judge()

    async def _judge(self) -> BatchProgress:
        batch = self._batch
        await self._pairs.judge(
            await self._list(TargetRange(batch.run, batch.first, batch.last)),
            width=batch.limits.pairs_in_flight,
        )
        return self.progress()

    @workflow.query
    def progress(self) -> BatchProgress:
        return BatchProgress(
            number=self._batch.number,
            evaluated=self._pairs.evaluated,
            failed=self._pairs.failed,
            draining=self._draining,
            paused=self._pairs.paused,
            resumes=self._resumes,
        )

    @workflow.signal
    def resume(self) -> None:
        """Sent by the run after its budget was raised."""
        self._resumes += 1
        self._pairs.resume()

    async def _list(self, targets: TargetRange) -> OpenPairs:
        return await workflow.execute_activity_method(Pairs.open_pairs, targets, **BOOKKEEPING)

    async def _drain(self) -> None:
        if self._draining:
            return
        self._draining = True
        if self._batch.followed:
            await self._signal_parent()

    async def _report(self) -> None:
        if workflow.time() - self._reported_at >= self._pause():
            self._reports += 1
            await self._signal_parent()

    def _pause(self) -> float:
        """Seconds between two reports."""
        limits = self._batch.limits
        age = workflow.time() - self._began_at
        return max(limits.progress_seconds, age * limits.progress_share)

    async def _signal_parent(self) -> None:
        parent = workflow.info().parent
        if parent is None:
            return
        self._reported_at = workflow.time()
        handle = workflow.get_external_workflow_handle(parent.workflow_id)
        await handle.signal("batch_progress", self.progress())
