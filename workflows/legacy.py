"""The workflow types of the previous release, so that its open runs continue.

These workflows issue the commands of their recorded histories, and start children of the old types.
A run that continues as new changes to the current type.
"""

import asyncio
import contextlib
from dataclasses import dataclass, field
from math import inf
from typing import Any, Final
from uuid import UUID

from temporalio import workflow
from temporalio.exceptions import ActivityError

with workflow.unsafe.imports_passed_through():
    from activities.pairs import Pairs
    from activities.payloads import JudgeRoute, OpenPairs, TargetRange
    from core.ids import RunStatus, TargetType
    from core.run_spec import RunSpec
    from core.temporal.client import judge_queue
    from core.temporal.pending import OpenBatches
    from core.temporal.schedules import MonitorRef
    from workflows.eval_batch import EvalBatchWorkflow
    from workflows.eval_run import EvalRunWorkflow
    from workflows.inputs import (
        BatchInput,
        BatchProgress,
        Cursor,
        EvalRunInput,
        MonitorOutcome,
        RunProgress,
    )
    from workflows.monitor import MonitorWorkflow
    from workflows.patches import (
        LEGACY_BATCH,
        LEGACY_MONITOR,
        LEGACY_RUN,
        REPORTS_GO_ON,
        WATCHED,
        patched,
    )
    from workflows.policies import BOOKKEEPING, Limits
    from workflows.stall_watch import StallWatch


@dataclass(frozen=True)
class LegacyLimits:
    pairs_per_batch: int = 500
    batches_open: int = 4
    pairs_in_flight: int = 80
    batches_per_run: int = 200


@dataclass(frozen=True)
class LegacyRunInput:
    project_id: UUID
    run_id: UUID
    target_type: TargetType
    metric_count: int
    model: str
    fresh: bool = False
    limits: LegacyLimits = field(default_factory=LegacyLimits)
    cursor: Cursor | None = None

    def upgraded(self) -> EvalRunInput:
        """Sets every limit, because the limits decide the recorded commands."""
        names: list[str] = workflow.memo_value("metrics", [""] * self.metric_count)
        return EvalRunInput(
            spec=RunSpec(
                run_id=self.run_id,
                project_id=self.project_id,
                target_type=self.target_type,
                metric_names=names,
                model=self.model,
                fresh=self.fresh,
            ),
            limits=Limits(
                pairs_per_batch=self.limits.pairs_per_batch,
                min_pairs_per_batch=self.limits.pairs_per_batch,
                batches_open=self.limits.batches_open,
                pairs_in_flight=self.limits.pairs_in_flight,
                batches_per_run=self.limits.batches_per_run,
                pairs_without_batch=-1,
                progress_seconds=1.0,
                progress_share=0.1,
                lead_targets=20,
            ),
            cursor=self.cursor,
        )


@dataclass(frozen=True)
class LegacyBatchInput:
    number: int
    slice: TargetRange
    target_type: TargetType
    model: str
    fresh: bool
    pairs_in_flight: int
    followed: bool = False


@workflow.defn(name=LEGACY_RUN)
class LegacyEvalRun(EvalRunWorkflow):
    _shown_status = RunStatus.PENDING

    @workflow.init
    def __init__(self, run: LegacyRunInput) -> None:
        self._watch = StallWatch(self._under_way, say=lambda: self._show())
        self._begin(run.upgraded())

    @workflow.run
    async def run(  # type: ignore[override]  # the old shape
        self,
        run: LegacyRunInput,  # noqa: ARG002 - Temporal passes the input to __init__ too
    ) -> RunProgress:
        if not patched(WATCHED):
            return await self._see_through()
        watching = asyncio.create_task(self._watch.run())
        try:
            return await self._see_through()
        finally:
            watching.cancel()
            with contextlib.suppress(asyncio.CancelledError, ActivityError):
                await watching

    def _batch_workflow(self, batch: BatchInput) -> tuple[Any, Any]:
        spec, limits = self._run.spec, self._run.limits
        open_at_once = min(limits.batches_open, self._batches.count)
        legacy = LegacyBatchInput(
            number=batch.number,
            slice=TargetRange(batch.run, first=batch.first, last=batch.last),
            target_type=spec.target_type,
            model=spec.model,
            fresh=spec.fresh,
            pairs_in_flight=limits.pairs_in_flight * limits.batches_open // open_at_once,
            followed=batch.followed,
        )
        return LEGACY_BATCH, legacy

    def _continue(self, run: EvalRunInput) -> None:
        workflow.continue_as_new(run, workflow=EvalRunWorkflow.run)

    def _under_way(self) -> OpenBatches:
        return OpenBatches(self._run.spec.run_id, self._batches.open_batches)

    def _moved(self) -> None:
        self._watch.moved()
        self._show()

    def _show(self) -> None:
        reason = self._watch.reason
        seen = None if reason is None else f"{reason} (seen at {workflow.now():%H:%M:%S} UTC)"
        workflow.set_current_details(self._details(seen))


@workflow.defn(name=LEGACY_BATCH)
class LegacyEvalBatch(EvalBatchWorkflow):
    @workflow.init
    def __init__(self, batch: LegacyBatchInput) -> None:
        limits = Limits(
            pairs_in_flight=batch.pairs_in_flight,
            progress_seconds=1.0,
            progress_share=0.1,
            lead_targets=20,
        )
        run, first, last = batch.slice.run, batch.slice.first, batch.slice.last
        self._begin(BatchInput(batch.number, run, first, last, limits, batch.followed))

    @workflow.run
    async def run(  # type: ignore[override]  # the old shape
        self,
        batch: LegacyBatchInput,  # noqa: ARG002 - Temporal passes the input to __init__ too
    ) -> BatchProgress:
        return await self._judge()

    async def _list(self, targets: TargetRange) -> OpenPairs:
        listed = await workflow.execute_activity_method(Pairs.list_pairs, targets, **BOOKKEEPING)
        return OpenPairs(listed, JudgeRoute(judge_queue(workflow.info().task_queue)))

    def _pause(self) -> float:
        if not patched(REPORTS_GO_ON):
            return self._batch.limits.progress_seconds if self._reports < 20 else inf
        return super()._pause()


@workflow.defn(name=LEGACY_MONITOR)
class LegacyMonitor(MonitorWorkflow):
    @workflow.run
    async def run(self, monitor: MonitorRef) -> MonitorOutcome:
        return await self._judge(monitor)

    def _run_workflow(self, spec: RunSpec) -> tuple[Any, Any]:
        legacy = LegacyRunInput(
            project_id=spec.project_id,
            run_id=spec.run_id,
            target_type=spec.target_type,
            metric_count=len(spec.metric_names),
            model=spec.model,
            fresh=spec.fresh,
        )
        return LEGACY_RUN, legacy


LEGACY_WORKFLOWS: Final = [LegacyEvalRun, LegacyEvalBatch, LegacyMonitor]
