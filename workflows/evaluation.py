"""A run: resolve its targets, judge every pair in batches, write how it ended."""

import asyncio
import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Final
from uuid import UUID

from temporalio import workflow
from temporalio.exceptions import (
    ActivityError,
    ApplicationError,
    FailureError,
    is_cancelled_exception,
)

with workflow.unsafe.imports_passed_through():
    from activities.inputs import Ending, RunRef, Slice
    from activities.runs import Runs
    from activities.waiting import UnderWay
    from core.ids import RunStatus, TargetType
    from core.temporal import RUN_STATUS, batch_workflow_id
    from workflows.batch import BatchInput, BatchProgress, EvalBatchWorkflow
    from workflows.policies import BOOKKEEPING, RESOLVING, Limits
    from workflows.watching import Watch
    from workflows.window import run_window

CANCELLED = "Cancelled from Temporal before every pair was judged. Scores so far were kept."


WATCHED: Final = "watched"
"""Before this patch a run's page did not say what it waited for."""


@dataclass(frozen=True)
class Cursor:
    """What a run carries into its continuation: nothing is in flight then."""

    targets: int
    pairs: int
    next_batch: int = 0
    evaluated: int = 0
    failed: int = 0


@dataclass(frozen=True)
class EvalRunInput:
    project_id: UUID
    run_id: UUID
    target_type: TargetType
    metric_count: int
    model: str
    fresh: bool = False
    limits: Limits = field(default_factory=Limits)
    cursor: Cursor | None = None

    @property
    def ref(self) -> RunRef:
        return RunRef(self.project_id, self.run_id)


@dataclass(frozen=True)
class RunProgress:
    """`activity` is one plain sentence, None once the run is over."""

    status: RunStatus
    total_targets: int
    evaluated_count: int
    failed_count: int
    activity: str | None = None
    error_message: str | None = None
    open_batches: tuple[int, ...] = ()


@dataclass
class _State:
    status: RunStatus = RunStatus.PENDING
    activity: str | None = "resolving which targets to judge"
    error_message: str | None = None
    batches: dict[int, BatchProgress] = field(default_factory=dict)
    ended: set[int] = field(default_factory=set)


@workflow.defn(name="EvalRun")
class EvalRunWorkflow:
    @workflow.init
    def __init__(self, run: EvalRunInput) -> None:
        self._run = run
        self._cursor = run.cursor
        self._state = _State()
        self._watch = Watch(self._under_way, say=self._describe)

    @workflow.run
    async def run(self, run: EvalRunInput) -> RunProgress:
        if not workflow.patched(WATCHED):
            return await self._to_its_end(run)
        watching = asyncio.create_task(self._watch.run())
        try:
            return await self._to_its_end(run)
        finally:
            watching.cancel()
            with contextlib.suppress(asyncio.CancelledError, ActivityError):
                await watching

    async def _to_its_end(self, run: EvalRunInput) -> RunProgress:
        try:
            self._enter(RunStatus.RUNNING, "resolving which targets to judge")
            self._cursor = run.cursor or await self._resolve()
            self._enter(RunStatus.RUNNING, "judging")
            await self._judge_batches(self._cursor)
        except (asyncio.CancelledError, FailureError) as error:
            if is_cancelled_exception(error):
                await self._finish(RunStatus.FAILED, CANCELLED)
                raise
            message = stop_reason(error)
            await self._finish(RunStatus.FAILED, message)
            raise ApplicationError(message, type="RunFailed", non_retryable=True) from error
        await self._finish(RunStatus.COMPLETED, None)
        return self.progress()

    @workflow.query
    def progress(self) -> RunProgress:
        cursor = self._cursor or Cursor(targets=0, pairs=0)
        batches = self._state.batches.values()
        return RunProgress(
            status=self._state.status,
            total_targets=cursor.targets,
            evaluated_count=cursor.evaluated + sum(b.evaluated for b in batches),
            failed_count=cursor.failed + sum(b.failed for b in batches),
            activity=self._state.activity,
            error_message=self._state.error_message,
            open_batches=self._under_way().batches,
        )

    @workflow.update
    async def resolved(self) -> RunProgress:
        """Answers once the targets are known, or the run is over."""
        await workflow.wait_condition(
            lambda: self._cursor is not None or self._state.status.terminal
        )
        return self.progress()

    @workflow.signal
    def batch_progress(self, progress: BatchProgress) -> None:
        self._state.batches[progress.number] = progress
        self._watch.moved()
        self._describe()

    async def _resolve(self) -> Cursor:
        resolved = await workflow.execute_activity_method(
            Runs.resolve_targets, self._run.ref, **RESOLVING
        )
        return Cursor(targets=resolved.targets, pairs=resolved.pairs)

    async def _judge_batches(self, cursor: Cursor) -> None:
        batches = self._batches_to_start(cursor)

        async def take() -> int | None:
            # Once more after waiting: another lane may have taken the place.
            while not self._has_room():
                await workflow.wait_condition(self._has_room)
            return next(batches, None)

        await run_window(take, self._judge_batch, width=self._run.limits.most_batches_open)
        if self._next_batch(cursor) < self._batch_count():
            await workflow.wait_condition(workflow.all_handlers_finished)
            progress = self.progress()
            workflow.continue_as_new(
                replace(
                    self._run,
                    cursor=replace(
                        cursor,
                        next_batch=self._next_batch(cursor),
                        evaluated=progress.evaluated_count,
                        failed=progress.failed_count,
                    ),
                )
            )

    def _batches_to_start(self, cursor: Cursor) -> Iterator[int]:
        last = min(self._batch_count(), cursor.next_batch + self._run.limits.batches_per_run)
        for number in range(cursor.next_batch, last):
            if workflow.info().is_continue_as_new_suggested():
                return
            self._state.batches[number] = BatchProgress(number)
            yield number

    def _has_room(self) -> bool:
        """A batch that runs out of pairs makes room before it ends: the judge is kept busy."""
        drawing = sum(not self._state.batches[n].draining for n in self._open_batches())
        return drawing < self._run.limits.batches_open

    def _open_batches(self) -> tuple[int, ...]:
        return tuple(n for n in self._state.batches if n not in self._state.ended)

    def _next_batch(self, cursor: Cursor) -> int:
        return max(self._state.batches, default=cursor.next_batch - 1) + 1

    def _batch_count(self) -> int:
        targets = self._cursor.targets if self._cursor else 0
        return -(-targets // self._targets_per_batch())

    def _targets_per_batch(self) -> int:
        return max(1, self._run.limits.pairs_per_batch // self._run.metric_count)

    async def _judge_batch(self, number: int) -> None:
        size = self._targets_per_batch()
        first = number * size
        last = min(first + size, self.progress().total_targets) - 1
        done = await workflow.execute_child_workflow(
            EvalBatchWorkflow.run,
            BatchInput(
                number=number,
                slice=Slice(self._run.ref, first=first, last=last),
                target_type=self._run.target_type,
                model=self._run.model,
                fresh=self._run.fresh,
                pairs_in_flight=self._pairs_in_flight(),
                followed=self._is_followed(number),
            ),
            id=batch_workflow_id(self._run.run_id, number),
            static_summary=f"Targets {first + 1} to {last + 1}",
        )
        self._state.batches[number] = done
        self._state.ended.add(number)
        self._watch.moved()
        self._describe()

    def _is_followed(self, number: int) -> bool:
        """Whether its room will be wanted: the run's last batches leave it empty."""
        return number + self._run.limits.batches_open < self._batch_count()

    def _pairs_in_flight(self) -> int:
        """A run of few batches keeps as many pairs going as one of many."""
        limits = self._run.limits
        open_at_once = min(limits.batches_open, self._batch_count())
        return limits.pairs_in_flight * limits.batches_open // open_at_once

    def _under_way(self) -> UnderWay:
        return UnderWay(self._run.run_id, self._open_batches())

    async def _finish(self, status: RunStatus, error_message: str | None) -> None:
        """Cannot be cancelled: the row is told how the run ended, whatever else happens."""
        self._state.activity = "writing down how it ended"
        writing = asyncio.create_task(
            workflow.execute_activity_method(
                Runs.finish_run,
                Ending(self._run.ref, status, error_message),
                **BOOKKEEPING,
            )
        )
        while not writing.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.shield(writing)
        ended = writing.result()
        if ended is not None:
            status, error_message = ended.status, ended.error_message
        self._enter(status, None, error_message)
        await workflow.wait_condition(workflow.all_handlers_finished)

    def _enter(
        self, status: RunStatus, activity: str | None, error_message: str | None = None
    ) -> None:
        if status is not self._state.status:
            workflow.upsert_search_attributes([RUN_STATUS.value_set(status.value)])
        self._state.status = status
        self._state.activity = activity
        self._state.error_message = error_message
        self._watch.moved()
        self._describe()

    def _describe(self) -> None:
        """What an operator reads on the workflow's page."""
        now = self.progress()
        doing = now.error_message or now.activity or "every pair has its score"
        if self._watch.reason is not None:
            doing = f"{self._watch.reason} (seen at {workflow.now():%H:%M:%S} UTC)"
        lines = [
            f"**{now.status}**: {doing}",
            f"{now.evaluated_count} of {now.total_targets} targets evaluated, "
            f"{now.failed_count} pairs failed",
        ]
        workflow.set_current_details("\n\n".join(lines))


def stop_reason(error: BaseException) -> str:
    """The words of whoever gave up first: activity and batch only pass them on."""
    cause = error.__cause__ if isinstance(error, FailureError) else None
    while isinstance(cause, FailureError) and cause.__cause__ is not None:
        cause = cause.__cause__
    if isinstance(cause, ApplicationError):
        return cause.message
    return f"The run was stopped from outside ({cause or error})."
