"""Judges (target, metric) pairs, singly or per target, and stores the outcomes."""

import asyncio
import logging
from dataclasses import replace
from uuid import UUID

from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.error_translation import (
    RUN_STOPPED,
    UNEXPECTED,
    RefusedOnce,
    cause_of,
    translate,
    translate_errors,
    with_usage,
)
from activities.judging.attempt import AttemptState, Stage
from activities.judging.heartbeat import heartbeating
from activities.judging.pair import Pair, PairReader
from activities.judging.retry_budget import (
    MAX_REFUSALS,
    MAX_UNEXPECTED,
    MAX_WORKER_LOSSES,
    RetryBudget,
    budget_of_activity,
)
from activities.judging.run_guard import RunClosed
from activities.judging.score_builder import EndedPair, failure, success
from activities.judging.sessions import LANES, SessionJudging
from activities.judging.traces import TraceJudging
from activities.open_pairs import PairLister
from activities.payloads import (
    Bundle,
    FailedPair,
    OpenPairs,
    PairEnd,
    PairRef,
    PairTry,
    TargetRange,
)
from activities.work_ids import name_pair
from core import clock
from core.db.database import Database
from core.errors import BudgetReached, JudgeBusy, JudgeFailed, JudgeUnusable, NotFound
from core.ids import ProjectId, ScoreStatus, TargetType
from core.open_target import OpenTarget
from core.queries import run_pairs
from core.telemetry.measures import FailureCause, show_failures
from core.trace_model import Trace

log = logging.getLogger("assay.worker")


class Pairs:
    def __init__(self, database: Database, judging: TraceJudging, lister: PairLister) -> None:
        self._database = database
        self._judging = judging
        self._lister = lister
        self._ledger = judging.ledger
        self._sessions = SessionJudging(database, judging)
        self._reader = PairReader(database, judging.ledger.mark_begun)
        self._refusals = judging.refusals

    @activity.defn(name="list_pairs")
    @translate_errors
    async def list_pairs(self, batch: TargetRange) -> list[OpenTarget]:
        """Lists open pairs for batches of the previous release."""
        return (await self._lister.of_batch(batch)).targets

    @activity.defn(name="open_pairs")
    @translate_errors
    async def open_pairs(self, batch: TargetRange) -> OpenPairs:
        """The open pairs; empty if the run is finished, cancelled or deleted."""
        return await self._lister.of_batch(batch)

    @activity.defn(name="judge_pair")
    @translate_errors
    async def judge_pair(self, ref: PairRef) -> PairEnd:
        """Idempotent: a repetition finds the score and asks no judge."""
        attempt = AttemptState(budget_of_activity(ref.tried), f"{ref.metric} of {ref.target_id}")
        async with heartbeating(attempt):
            try:
                return await self._judge(ref, attempt)
            except RunClosed:
                return PairEnd.CLOSED
            except BudgetReached:
                return PairEnd.PAUSED
            except Exception as error:  # noqa: BLE001 - any error is reported to the next attempt
                ended = _reported(error, attempt)
                raise ended from cause_of(ended, error)

    @activity.defn(name="judge_bundle")
    @translate_errors
    async def judge_bundle(self, bundle: Bundle) -> list[PairTry]:
        """Tries the pairs of one target together, once, so that they share the trace, calls and
        writes.

        A pair without a score stays open; `judge_pair` then judges it with separate attempts.
        Raises JudgeUnusable if no pair of the run can succeed.
        """
        name = f"{len(bundle.metrics)} metrics of {bundle.target_id}"
        attempts = [AttemptState(RetryBudget(), name) for _ in bundle.metrics]
        # The pairs share reading, asking and writing, so all are in the stage of the first pair.
        async with heartbeating(attempts[0]):
            tries = await asyncio.gather(
                *(
                    self._try(ref, attempt)
                    for ref, attempt in zip(bundle.pairs, attempts, strict=True)
                ),
                return_exceptions=True,
            )
        return [_told(one) for one in tries]

    @activity.defn(name="fail_pair")
    @translate_errors
    async def fail_pair(self, failed: FailedPair) -> PairEnd:
        """Records that Temporal has given up on the pair.

        Not called earlier, because a retry may succeed.
        """
        pair = await self._reader.read(failed.pair)
        if pair is None:
            return PairEnd.CLOSED
        return await self._store(failure(pair, FailureCause.GIVEN_UP, failed.reason, failed.spent))

    async def _try(self, ref: PairRef, attempt: AttemptState) -> PairTry:
        """Raises JudgeUnusable if no pair of the run can succeed."""
        try:
            return PairTry(await self._judge(ref, attempt))
        except RunClosed:
            return PairTry(PairEnd.CLOSED)
        except BudgetReached:
            return PairTry(PairEnd.PAUSED)
        except JudgeUnusable:
            raise
        except Exception as error:  # noqa: BLE001 - `judge_pair` decides about every error
            log.debug("%s of %s stays open: %s", ref.metric, ref.target_id, type(error).__name__)
            return PairTry(PairEnd.OPEN, spent=attempt.budget.spent)

    async def _judge(self, ref: PairRef, attempt: AttemptState) -> PairEnd:
        pair = await self._reader.read(ref)
        if pair is None:
            return PairEnd.CLOSED
        name_pair(pair.metric, pair.target_id if pair.target_type is TargetType.TRACE else None)
        show_failures(pair.model)
        number = activity.info().attempt
        tried_before = number > 1 or ref.tried is not None
        if tried_before and (known := await self._known_end(pair)):
            return known
        losses = attempt.budget.worker_losses(number)
        if losses >= MAX_WORKER_LOSSES:
            reason = (
                f"Gave up after {losses} attempts in a row whose worker stopped or was killed; "
                "judging this pair may be the cause."
            )
            spent = attempt.budget.spent
            ended: EndedPair | None = failure(pair, FailureCause.WORKER_LOST, reason, spent)
        else:
            ended = await self._ended(pair, attempt)
        if ended is None:
            return PairEnd.SCORED
        with attempt.at(Stage.WRITING):
            return await self._store(ended)

    async def _ended(self, pair: Pair, attempt: AttemptState) -> EndedPair | None:
        """The outcome; None if the target was deleted.

        Raises RunClosed, TimeSliceExpired, RefusedOnce, JudgeBusy, JudgeUnusable.
        """
        try:
            return await self._judged(pair, attempt)
        except NotFound:
            return None
        except JudgeFailed as error:
            spent = attempt.budget.spent + error.paid
            return failure(pair, FailureCause.UNUSABLE_ANSWER, error.message, spent)
        except JudgeBusy as error:
            attempt.budget = attempt.budget.after_busy(error, attempt.seconds)
            spent = attempt.budget.spent + error.answered
            at_once = LANES if pair.target_type is TargetType.SESSION else 1
            if attempt.budget.overspent(traces=at_once):
                calls = attempt.budget.fruitless_calls
                reason = f"Gave up after {calls} judge calls without a score: {error.message}"
                return failure(pair, FailureCause.TOO_MANY_CALLS, reason, spent)
            if not attempt.budget.exhausted:
                raise
            reason = f"Gave up waiting for the judge: {error.message}"
            return failure(pair, FailureCause.NO_ANSWER, reason, spent)
        except JudgeUnusable as error:
            return self._refused(pair, error, attempt)

    async def _judged(self, pair: Pair, attempt: AttemptState) -> EndedPair:
        """Judges the target, of either kind."""
        trace: Trace | None = None
        if pair.target_type is TargetType.SESSION:
            with attempt.at(Stage.ASKING):
                evaluation = await self._sessions.evaluate(pair, attempt)
        else:
            # Keeps a reference during judging, so that other metrics of this trace find it loaded.
            transcript = await self._judging.load(pair, UUID(pair.target_id))
            with attempt.at(Stage.ASKING):
                trace, evaluation = await self._judging.evaluate_trace(pair)
            del transcript
        attempt.answers = evaluation.usage
        return success(pair, evaluation.including(attempt.budget.spent), trace)

    def _refused(self, pair: Pair, error: JudgeUnusable, attempt: AttemptState) -> EndedPair:
        """Decides whether a refusal stops the run, is retried, or fails only this pair."""
        run_id, unmistakable = pair.spec.run_id, error.unmistakable
        if error.at_once or self._refusals.refused(
            run_id, pair.target_id, unmistakable=unmistakable
        ):
            raise error
        budget = attempt.budget
        attempt.budget = replace(
            budget, refusals=budget.refusals + 1, spent=budget.spent + error.spent
        )
        if attempt.budget.refusals < MAX_REFUSALS:
            raise RefusedOnce(error.message) from None
        if unmistakable and not self._refusals.has_answered(run_id):
            raise error  # A run of one or two targets.
        spent = attempt.budget.spent + error.answered
        return failure(pair, FailureCause.REFUSED, error.message, spent)

    async def _known_end(self, pair: Pair) -> PairEnd | None:
        async with self._database.read() as db:
            status = await run_pairs.status_of(
                db,
                ProjectId(pair.spec.project_id),
                pair.spec.run_id,
                target_id=pair.target_id,
                metric=pair.metric,
            )
        return None if status is None else _end(status)

    async def _store(self, ended: EndedPair) -> PairEnd:
        if not await self._ledger.keep_score(ended.score):
            return PairEnd.CLOSED
        ended.count()
        return _end(ended.score.status)


def _reported(error: Exception, attempt: AttemptState) -> ApplicationError:
    """Translates the error for Temporal, and reports the retry budget to the next attempt in a
    heartbeat.
    """
    number = activity.info().attempt
    unexpected = attempt.budget.unexpected + 1
    ended = translate(error, attempt=number, final=unexpected >= MAX_UNEXPECTED)
    pause = ended.next_retry_delay
    attempt.budget = replace(
        attempt.budget,
        reported_attempt=number,
        failed_at=clock.now().isoformat(),
        pause_seconds=pause.total_seconds() if pause else 1.0,
        unexpected=unexpected if ended.type == UNEXPECTED else attempt.budget.unexpected,
    )
    attempt.end()
    if ended.type == RUN_STOPPED:
        return ended
    if ended.non_retryable:
        return with_usage(ended, attempt.budget.spent + attempt.answers)
    activity.heartbeat(attempt.details)
    return ended


def _told(tried: PairTry | BaseException) -> PairTry:
    if isinstance(tried, BaseException):
        raise tried
    return tried


def _end(status: ScoreStatus) -> PairEnd:
    return PairEnd.FAILED if status is ScoreStatus.FAILED else PairEnd.SCORED
