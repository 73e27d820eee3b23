"""Judges pairs, a bounded number at once. Batches and small runs both use this class."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from temporalio import workflow
from temporalio.common import Priority
from temporalio.exceptions import ActivityError, ApplicationError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from activities.error_translation import RUN_STOPPED
    from activities.pairs import Pairs
    from activities.payloads import (
        Bundle,
        FailedPair,
        JudgeRoute,
        OpenPairs,
        PairEnd,
        PairRef,
        PairTry,
        RunRef,
    )
    from core.safe_text import plain_markdown
    from core.usage import Usage
    from workflows.concurrency import run_bounded
    from workflows.pair_order import Job, pair_order
    from workflows.policies import BOOKKEEPING, JUDGE_PRIORITY_KEY, JUDGING, TRYING, Limits

Listener = Callable[[], Awaitable[None]]


class PairJudging:
    """`evaluated` counts targets without open pairs, `failed` counts FAILED pairs.

    `on_end` is called after each pair. `on_drain` is called when no further pair can begin at once.
    `on_pause` is called when the budget had no room for a pair; then no pair begins until `resume`.
    """

    def __init__(
        self,
        run: RunRef,
        limits: Limits,
        *,
        on_end: Listener,
        on_drain: Listener,
        on_pause: Listener,
    ) -> None:
        self._run = run
        self._limits = limits
        self._on_end = on_end
        self._on_drain = on_drain
        self._on_pause = on_pause
        self._left: dict[str, int] = {}
        self._resumes = 0
        self.failed = 0
        self.paused = False

    @property
    def evaluated(self) -> int:
        return sum(left == 0 for left in self._left.values())

    def resume(self) -> None:
        self._resumes += 1
        self.paused = False

    async def judge(self, pairs: OpenPairs, *, width: int) -> None:
        """Raises ApplicationError of type RUN_STOPPED if no pair of the run can succeed."""
        self._left = {target.target_id: len(target.metrics) for target in pairs.targets}
        self.failed = sum(target.failed for target in pairs.targets)
        order = pair_order(
            [
                [PairRef(self._run, target.target_id, metric) for metric in target.metrics]
                for target in pairs.targets
                if target.metrics
            ],
            self._limits,
            bundled=pairs.bundled,
        )

        async def take() -> Job | None:
            if not order.has_next:
                await self._on_drain()
            return await order.take()

        async def work(job: Job) -> None:
            if len(job) > 1:
                order.done(job, await self._judge_bundle(job, pairs.route))
            else:
                await self._judge_alone(job[0], pairs.route)
                order.done(job)

        # One more lane than pairs: the extra lane finds no pair and therefore reports the drain at
        # once.
        count = sum(len(target.metrics) for target in pairs.targets)
        await run_bounded(take, work, width=min(width, count + 1))

    async def _judge_bundle(self, job: Job, route: JudgeRoute) -> list[PairRef]:
        """Tries the pairs of one target together; returns those that are still open."""
        left: list[PairRef] = []
        pairs = job
        while pairs:
            await self._until_resumed()
            resumes = self._resumes
            tries = await self._tries(pairs, route)
            for pair, tried in zip(pairs, tries, strict=True):
                if tried.end is PairEnd.OPEN:
                    left.append(replace(pair, tried=tried.spent or Usage()))
                elif tried.end is not PairEnd.PAUSED:
                    await self._count(pair, tried.end)
            ends = zip(pairs, tries, strict=True)
            pairs = tuple(pair for pair, tried in ends if tried.end is PairEnd.PAUSED)
            if pairs:
                await self._pause(resumes)
        return left

    async def _tries(self, pairs: Job, route: JudgeRoute) -> list[PairTry]:
        first = pairs[0]
        bundle = Bundle(first.run, first.target_id, [pair.metric for pair in pairs])
        summary = plain_markdown(f"{len(pairs)} metrics of {first.target_id}")
        try:
            return await workflow.execute_activity_method(
                Pairs.judge_bundle, bundle, **_routed(first, route, summary), **TRYING
            )
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise
            stop_if_fatal(error, plain_markdown(f"{first.metric} of {first.target_id}"))
            return [PairTry(PairEnd.OPEN)] * len(pairs)

    async def _judge_alone(self, pair: PairRef, route: JudgeRoute) -> None:
        end = await self._judge(pair, route)
        while end is PairEnd.PAUSED:
            end = await self._judge(pair, route)
        await self._count(pair, end)

    async def _until_resumed(self) -> None:
        while self.paused:
            await workflow.wait_condition(lambda: not self.paused)

    async def _judge(self, pair: PairRef, route: JudgeRoute) -> PairEnd:
        await self._until_resumed()
        resumes = self._resumes
        end = await self._end_of(pair, route)
        if end is PairEnd.PAUSED:
            await self._pause(resumes)
        return end

    async def _pause(self, resumes: int) -> None:
        """`resumes`: the number of resumes when the pair began. If the run was resumed since then,
        the caller tries the pair again at once.
        """
        if resumes == self._resumes and not self.paused:
            self.paused = True
            await self._on_pause()

    async def _end_of(self, pair: PairRef, route: JudgeRoute) -> PairEnd:
        # The sender of the traces chooses the id of a session, which may contain Markdown.
        summary = plain_markdown(f"{pair.metric} of {pair.target_id}")
        try:
            return await workflow.execute_activity_method(
                Pairs.judge_pair, pair, **_routed(pair, route, summary), **JUDGING
            )
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise
            stop_if_fatal(error, summary)
            return await workflow.execute_activity_method(
                Pairs.fail_pair,
                FailedPair(pair, reason=reason_of(error), spent=usage_of(error, pair)),
                summary=summary,
                **BOOKKEEPING,
            )

    async def _count(self, pair: PairRef, end: PairEnd) -> None:
        if end is PairEnd.CLOSED:
            return
        self.failed += end is PairEnd.FAILED
        self._left[pair.target_id] -= 1
        await self._on_end()


def _routed(pair: PairRef, route: JudgeRoute, summary: str) -> dict[str, Any]:
    return {
        "task_queue": route.task_queue,
        "summary": summary,
        "priority": Priority(
            priority_key=JUDGE_PRIORITY_KEY,
            fairness_key=str(pair.run.run_id),
            fairness_weight=route.fairness_weight,
        ),
    }


def stop_if_fatal(error: ActivityError, pair: str) -> None:
    """Raises if the activity met an error that fails every pair of the run.

    The details of the error name the pair. The message has only the provider's words, for the row
    of the run.
    """
    cause = error.cause
    if isinstance(cause, ApplicationError) and cause.type == RUN_STOPPED:
        raise ApplicationError(cause.message, pair, type=RUN_STOPPED, non_retryable=True) from error


def usage_of(error: ActivityError, pair: PairRef) -> Usage:
    """The usage of all attempts; only that of the bundle if the last attempt reported none."""
    cause = error.cause
    if isinstance(cause, ApplicationError) and cause.details:
        return Usage.of_saved(cause.details[0])
    return pair.tried or Usage()


def reason_of(error: ActivityError) -> str:
    cause = error.cause
    if isinstance(cause, ApplicationError):
        return cause.message
    return f"Judging this pair never ended ({cause}); its worker may have been lost."
