"""One batch of a run: a judge activity for each of its (target, metric) pairs."""

from dataclasses import dataclass
from math import inf
from typing import Final

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from activities.failures import RUN_STOPPED
    from activities.inputs import FailedPair, Pair, PairEnd, Slice, SliceTarget
    from activities.pairs import Pairs
    from core.ids import TargetType
    from core.temporal import judge_queue
    from workflows.lineup import line_up
    from workflows.policies import BOOKKEEPING, JUDGING, PROGRESS_SECONDS, PROGRESS_SHARE
    from workflows.window import run_window

REPORTS_GO_ON: Final = "reports-go-on"
"""Before this patch a batch reported twenty times and no more."""


@dataclass(frozen=True)
class BatchInput:
    """`followed`: other batches wait until this one no longer needs all of its share."""

    number: int
    slice: Slice
    target_type: TargetType
    model: str
    fresh: bool
    pairs_in_flight: int
    followed: bool = False


@dataclass(frozen=True)
class BatchProgress:
    """Absolute, so that a report seen twice or late does no harm.

    `draining`: its last pairs are under way or wait for those; there is room for another batch.
    """

    number: int
    evaluated: int = 0
    failed: int = 0
    draining: bool = False


@workflow.defn(name="EvalBatch")
class EvalBatchWorkflow:
    """Never continues as new: a child that does would miss its parent's cancel."""

    @workflow.init
    def __init__(self, batch: BatchInput) -> None:
        self._batch = batch
        self._targets: list[SliceTarget] = []
        self._left: dict[str, int] = {}
        self._failed = 0
        self._draining = False
        self._began_at = self._reported_at = workflow.time()
        self._reports = 0

    @workflow.run
    async def run(self, batch: BatchInput) -> BatchProgress:
        self._targets = await workflow.execute_activity_method(
            Pairs.list_pairs, batch.slice, **BOOKKEEPING
        )
        self._left = {target.target_id: len(target.metrics) for target in self._targets}
        self._failed = sum(target.failed for target in self._targets)
        lineup = line_up(
            [
                [self._pair(target, metric) for metric in target.metrics]
                for target in self._targets
                if target.metrics
            ]
        )

        async def take() -> Pair | None:
            if not lineup.has_next:
                await self._drain()
            return await lineup.take()

        async def judge(pair: Pair) -> None:
            await self._judge(pair)
            lineup.done(pair)

        await run_window(take, judge, width=batch.pairs_in_flight)
        return self._progress()

    @workflow.query
    def progress(self) -> BatchProgress:
        return self._progress()

    def _pair(self, target: SliceTarget, metric: str) -> Pair:
        batch = self._batch
        return Pair(
            run=batch.slice.run,
            target_type=batch.target_type,
            target_id=target.target_id,
            metric=metric,
            model=batch.model,
            fresh=batch.fresh,
        )

    async def _judge(self, pair: Pair) -> None:
        try:
            end = await workflow.execute_activity_method(
                Pairs.judge_pair,
                pair,
                task_queue=judge_queue(workflow.info().task_queue),
                summary=f"{pair.metric} of {pair.target_id}",
                **JUDGING,
            )
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise
            stop_if_fatal(error)
            end = await workflow.execute_activity_method(
                Pairs.fail_pair,
                FailedPair(pair, reason=reason_of(error)),
                summary=f"{pair.metric} of {pair.target_id}",
                **BOOKKEEPING,
            )
        if end is PairEnd.CLOSED:
            return
        self._failed += end is PairEnd.FAILED
        self._left[pair.target_id] -= 1
        await self._report()

    def _progress(self) -> BatchProgress:
        return BatchProgress(
            number=self._batch.number,
            evaluated=sum(left == 0 for left in self._left.values()),
            failed=self._failed,
            draining=self._draining,
        )

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

    async def _signal_parent(self) -> None:
        parent = workflow.info().parent
        if parent is None:
            return
        self._reported_at = workflow.time()
        handle = workflow.get_external_workflow_handle(parent.workflow_id)
        await handle.signal("batch_progress", self._progress())

    def _pause(self) -> float:
        if not workflow.patched(REPORTS_GO_ON):
            return PROGRESS_SECONDS if self._reports < 20 else inf
        return max(PROGRESS_SECONDS, (workflow.time() - self._began_at) * PROGRESS_SHARE)


def stop_if_fatal(error: ActivityError) -> None:
    """Raises when the activity met an error that no pair of the run can survive."""
    cause = error.cause
    if isinstance(cause, ApplicationError) and cause.type == RUN_STOPPED:
        raise ApplicationError(cause.message, type=RUN_STOPPED, non_retryable=True) from error


def reason_of(error: ActivityError) -> str:
    cause = error.cause
    if isinstance(cause, ApplicationError):
        return cause.message
    return f"Judging this pair never came to an end ({cause}); its worker may have been lost."
