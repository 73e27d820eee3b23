"""Judging one (target, metric) pair, and keeping how it ended."""

from temporalio import activity

from activities.endurance import Bearing, Endurance
from activities.failures import translated
from activities.gate import RunClosed
from activities.heartbeats import beating
from activities.inputs import FailedPair, Pair, PairEnd, Slice, SliceTarget
from activities.judging import Judging
from activities.keeping import failure, success
from activities.sessions import Sessions
from core.database import Database
from core.errors import JudgeBusy, JudgeFailed, NotFound
from core.ids import ProjectId, ScoreStatus, TargetType
from core.queries import pairs, runs
from core.queries.pairs import NewScore
from core.usage import Usage


class Pairs:
    def __init__(self, database: Database, judging: Judging) -> None:
        self._database = database
        self._judging = judging
        self._ledger = judging.ledger
        self._sessions = Sessions(database, judging)

    @activity.defn(name="list_pairs")
    @translated
    async def list_pairs(self, slice: Slice) -> list[SliceTarget]:
        """What is still to be judged; nothing when the run is over, cancelled or deleted."""
        project_id = ProjectId(slice.run.project_id)
        async with self._database.read() as db:
            run = await runs.find(db, project_id, slice.run.run_id)
            if run is None or run.status.terminal or run.cancel_requested_at is not None:
                return []
            found = await pairs.of_targets(db, project_id, run, first=slice.first, last=slice.last)
        return [SliceTarget(t.target_id, t.metrics, t.failed) for t in found]

    @activity.defn(name="judge_pair")
    @translated
    async def judge_pair(self, pair: Pair) -> PairEnd:
        """Idempotent: a repeat finds the score and asks no judge."""
        if activity.info().attempt > 1 and (known := await self._known_end(pair)):
            return known
        bearing = Bearing(Endurance.of_this_activity())
        async with beating(lambda: bearing.endurance.details):
            try:
                score = await self._judged(pair, bearing)
            except RunClosed:
                return PairEnd.CLOSED
            except NotFound as error:
                score = failure(pair, error.message, bearing.endurance.spent)
            except JudgeFailed as error:
                score = failure(pair, error.message, bearing.endurance.spent + error.spent)
            except JudgeBusy as error:
                bearing.endurance = bearing.endurance.after(error)
                if not bearing.endurance.is_over:
                    activity.heartbeat(*bearing.endurance.details)
                    raise
                reason = f"Gave up waiting for the judge: {error.message}"
                score = failure(pair, reason, bearing.endurance.spent)
            return await self._store(score)

    async def _judged(self, pair: Pair, bearing: Bearing) -> NewScore:
        """The same for every kind of target. Raises NotFound, RunClosed, TurnOver, JudgeError."""
        if pair.target_type is TargetType.SESSION:
            environment = None
            evaluation = await self._sessions.evaluate(pair, bearing)
        else:
            trace, evaluation = await self._judging.evaluate_trace(pair)
            environment = trace.environment
        return success(pair, evaluation.including(bearing.endurance.spent), environment)

    @activity.defn(name="fail_pair")
    @translated
    async def fail_pair(self, failed: FailedPair) -> PairEnd:
        """Keeps that Temporal has given up on the pair. Never before that: a retry may succeed."""
        return await self._store(failure(failed.pair, failed.reason, Usage()))

    async def _known_end(self, pair: Pair) -> PairEnd | None:
        async with self._database.read() as db:
            status = await pairs.status_of(
                db,
                ProjectId(pair.run.project_id),
                pair.run.run_id,
                target_id=pair.target_id,
                metric=pair.metric,
            )
        return None if status is None else _end(status)

    async def _store(self, score: NewScore) -> PairEnd:
        still_open = await self._ledger.keep_score(score)
        return _end(score.status) if still_open else PairEnd.CLOSED


def _end(status: ScoreStatus) -> PairEnd:
    return PairEnd.FAILED if status is ScoreStatus.FAILED else PairEnd.SCORED
