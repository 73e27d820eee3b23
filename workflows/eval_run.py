"""A run: resolves its targets, judges every pair, records the outcome."""

import asyncio
import contextlib
from dataclasses import replace
from math import inf
from typing import Any

from temporalio import workflow
from temporalio.exceptions import (
    ApplicationError,
    FailureError,
    WorkflowAlreadyStartedError,
    is_cancelled_exception,
)

with workflow.unsafe.imports_passed_through():
    from activities.payloads import OpenPairs, RecordedOutcome, RunOutcome
    from activities.runs import Runs
    from core.ids import RunStatus
    from core.safe_text import plain_markdown
    from core.temporal import run_activity
    from core.temporal.client import RUN_STATUS, batch_workflow_id
    from workflows.batch_schedule import BatchSchedule
    from workflows.concurrency import run_bounded
    from workflows.eval_batch import EvalBatchWorkflow
    from workflows.inputs import BatchInput, BatchProgress, Cursor, EvalRunInput, RunProgress
    from workflows.pair_judging import PairJudging
    from workflows.policies import (
        BATCH_PRIORITY,
        BOOKKEEPING,
        FINISH_PRIORITY,
        MAX_TITLE,
        RESOLVING,
        RESTART_SECONDS,
    )
    from workflows.stop_reason import headline, stop_reason


@workflow.defn
class EvalRunWorkflow:
    _shown_status: RunStatus = RunStatus.RUNNING
    """Value of the search attribute at the start of the workflow."""

    @workflow.init
    def __init__(self, run: EvalRunInput) -> None:
        self._begin(run)

    def _begin(self, run: EvalRunInput) -> None:
        self._run = run
        self._status = RunStatus.PENDING
        self._activity: str | None = run_activity.RESOLVING
        self._error_message: str | None = None
        self._memo_activity: str | None = None
        self._cursor = run.cursor
        self._batches = BatchSchedule(run, run.cursor or Cursor(targets=0, pairs=0))
        self._pairs = PairJudging(
            run.ref,
            run.limits,
            on_end=self._pair_ended,
            on_drain=self._pairs_drained,
            on_pause=self._pair_ended,
        )

    @workflow.run
    async def run(self, run: EvalRunInput) -> RunProgress:  # noqa: ARG002 - Temporal passes the input to __init__ too
        return await self._see_through()

    async def _see_through(self) -> RunProgress:
        try:
            self._enter(RunStatus.RUNNING, run_activity.RESOLVING)
            open_pairs = await self._resolve()
            self._enter(RunStatus.RUNNING, run_activity.JUDGING)
            if open_pairs is not None:
                limits = self._run.limits
                width = min(limits.pairs_without_batch, limits.small_run_in_flight)
                await self._pairs.judge(open_pairs, width=width)
            else:
                # Writes again after continuing as new, because Temporal drops the earlier memo.
                self._put_in_memo(run_activity.JUDGING)
                await self._judge_batches()
        except (asyncio.CancelledError, FailureError) as error:
            if is_cancelled_exception(error):
                await self._finish(RunStatus.FAILED, run_activity.CANCELLED_IN_TEMPORAL)
                raise
            message = stop_reason(error)
            await self._finish(RunStatus.FAILED, message)
            raise ApplicationError(headline(error), type="RunFailed", non_retryable=True) from error
        await self._finish(RunStatus.COMPLETED, None)
        return self.progress()

    @workflow.query
    def progress(self) -> RunProgress:
        return RunProgress(
            status=self._status,
            total_targets=self._cursor.targets if self._cursor else 0,
            evaluated_count=self._batches.evaluated + self._pairs.evaluated,
            failed_count=self._batches.failed + self._pairs.failed,
            activity=run_activity.PAUSED if self._paused else self._activity,
            error_message=self._error_message,
            open_batches=self._batches.open_batches,
            paused=self._paused,
        )

    @property
    def _paused(self) -> bool:
        return self._pairs.paused or self._batches.paused

    @workflow.update
    async def resolved(self) -> RunProgress:
        """Returns when the targets are known, or when the run is over."""
        await workflow.wait_condition(lambda: self._cursor is not None or self._status.terminal)
        return self.progress()

    @workflow.signal
    def batch_progress(self, progress: BatchProgress) -> None:
        self._batches.report(progress)
        self._moved()

    @workflow.signal
    async def resume(self) -> None:
        """Sent when the budget was raised or a new month has begun. No effect on a run that is not
        paused.
        """
        self._pairs.resume()
        self._batches.resume()
        for number in self._batches.open_batches:
            batch = batch_workflow_id(self._run.spec.run_id, number)
            # A batch that has ended or has not begun has no paused pairs.
            with contextlib.suppress(ApplicationError):
                await workflow.get_external_workflow_handle(batch).signal("resume")
                self._batches.resumed(number)
        self._moved()

    @workflow.signal
    def waits_for(self, sentence: str | None) -> None:
        """Sent by a worker that inspects runs without progress."""
        seen = sentence and f"{sentence} (seen at {workflow.now():%H:%M:%S} UTC)"
        workflow.set_current_details(self._details(seen))
        if sentence:
            self._put_in_memo(sentence)

    async def _resolve(self) -> OpenPairs | None:
        """Returns the pairs of a small run; the batches of a large run list their own pairs."""
        if self._cursor is not None:
            return None
        known = self._run.open_pairs
        if known is not None:
            pairs = sum(len(target.metrics) for target in known.targets)
            self._cursor = Cursor(targets=len(known.targets), pairs=pairs)
            return known
        resolved = await workflow.execute_activity_method(
            Runs.resolve_targets, self._run.ref, **RESOLVING
        )
        self._cursor = Cursor(targets=resolved.targets, pairs=resolved.pairs)
        self._batches = BatchSchedule(self._run, self._cursor)
        is_small = resolved.pairs <= self._run.limits.pairs_without_batch
        return resolved.open_pairs if is_small else None

    async def _judge_batches(self) -> None:
        batches = self._batches
        numbers = batches.to_start()

        async def take() -> int | None:
            # Checks again in a loop, because another lane may have opened a batch during the wait.
            while not batches.has_room():
                await workflow.wait_condition(batches.has_room)
            return next(numbers, None)

        await run_bounded(take, self._judge_batch, width=self._run.limits.max_batches_open)
        cursor = batches.continuation
        if cursor is not None:
            await workflow.wait_condition(workflow.all_handlers_finished)
            self._continue(replace(self._run, cursor=cursor))

    def _continue(self, run: EvalRunInput) -> None:
        workflow.continue_as_new(run)

    async def _judge_batch(self, number: int) -> None:
        batch = self._batches.input_of(number)
        while True:
            try:
                done = await workflow.execute_child_workflow(
                    *self._batch_workflow(batch),
                    id=batch_workflow_id(self._run.spec.run_id, number),
                    static_summary=f"Targets {batch.first + 1} to {batch.last + 1}",
                    priority=BATCH_PRIORITY,
                    result_type=BatchProgress,
                )
            except WorkflowAlreadyStartedError:
                # After a reset of the run, the batch of the previous execution takes a moment to
                # close.
                await workflow.sleep(RESTART_SECONDS)
            else:
                break
        self._batches.end(done)
        self._moved()
        self._put_in_memo(self._doing, anew=True)

    def _batch_workflow(self, batch: BatchInput) -> tuple[Any, Any]:
        """The type of a batch's workflow, and its input."""
        return EvalBatchWorkflow.run, batch

    async def _pair_ended(self) -> None:
        self._moved()

    async def _pairs_drained(self) -> None:
        pass

    async def _finish(self, status: RunStatus, error_message: str | None) -> None:
        """Shielded from cancellation, so that the outcome is always recorded."""
        self._activity = run_activity.FINISHING
        writing = asyncio.create_task(
            self._write_end(RunOutcome(self._run.ref, status, error_message))
        )
        while not writing.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.shield(writing)
        ended = writing.result()
        if ended is not None:
            status, error_message = ended.status, ended.error_message
        self._enter(status, None, error_message)
        await workflow.wait_condition(workflow.all_handlers_finished)

    async def _write_end(self, outcome: RunOutcome) -> RecordedOutcome | None:
        pairs = self._cursor.pairs if self._cursor else inf
        if pairs <= self._run.limits.pairs_ended_locally:
            # A local activity saves an activity task and a workflow task. If the worker dies during
            # it, the end of the run is delayed by ten seconds, the time-out of a workflow task.
            return await workflow.execute_local_activity_method(
                Runs.finish_run, outcome, **BOOKKEEPING
            )
        return await workflow.execute_activity_method(
            Runs.finish_run, outcome, priority=FINISH_PRIORITY, **BOOKKEEPING
        )

    def _enter(
        self, status: RunStatus, activity: str | None, error_message: str | None = None
    ) -> None:
        if status is not self._shown_status:
            workflow.upsert_search_attributes([RUN_STATUS.value_set(status.value)])
            self._shown_status = status
        self._status = status
        self._activity = activity
        self._error_message = error_message
        self._moved()

    def _moved(self) -> None:
        """Updates the text on the workflow's page in Temporal."""
        workflow.set_current_details(self._details())
        # A small run that neither waits nor pauses needs no memo.
        if self._memo_activity is not None or self._paused:
            self._put_in_memo(self._doing)

    @property
    def _doing(self) -> str:
        now = self.progress()
        return now.error_message or now.activity or run_activity.DONE

    def _put_in_memo(self, doing: str, *, anew: bool = False) -> None:
        """Writes only if `doing` has changed, because each write is an event; with `anew`, writes
        always.
        """
        if not self._run.limits.activity_in_memo or (doing == self._memo_activity and not anew):
            return
        self._memo_activity = doing
        now = self.progress()
        text = run_activity.memo(
            doing,
            evaluated=now.evaluated_count,
            total=now.total_targets,
            failed=now.failed_count,
            at=workflow.now(),
        )
        workflow.upsert_memo({"activity": text})

    def _details(self, waits_for: str | None = None) -> str:
        now = self.progress()
        spec = self._run.spec
        # The static summary is lost when a run continues as new.
        title = f"{spec.name or 'Evaluation'}: {', '.join(spec.metric_names)}"
        return f"{plain_markdown(title[:MAX_TITLE])}\n\n" + run_activity.page(
            status=now.status,
            doing=now.error_message or waits_for or now.activity,
            evaluated=now.evaluated_count,
            total=now.total_targets,
            failed=now.failed_count,
        )
