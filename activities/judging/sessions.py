"""Judges a session: the signals of its traces, and the session metric over them.

A session may have any length. Its traces are read page by page, a few of them are judged at once,
and each signal is stored as soon as it is known. An attempt ends after its time slice; the next
attempt finds the stored signals and continues.
"""

import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Any, Final

from activities.error_translation import TimeSliceExpired
from activities.judging.attempt import AttemptState
from activities.judging.pair import Pair
from activities.judging.references import CoherenceReferences
from activities.judging.session_signals import (
    JUDGED,
    METRICS,
    WINDOW,
    ReusePolicy,
    SessionSignals,
    SignalJudge,
    TraceInSession,
    newest_covering,
)
from activities.judging.traces import TraceJudging
from core.concurrency import run_bounded
from core.db.database import Database
from core.errors import JudgeBusy, JudgeError, JudgeFailed, NotFound
from core.ids import ProjectId
from core.queries import score_sessions, session_reads
from core.queries.score_sessions import SignalScore
from core.queries.session_reads import SessionHead
from core.usage import Usage
from evals import catalog
from evals.evaluation import Evaluation, evaluate_session
from evals.metric import JudgedMetric, NotApplicable, TraceMetric

PAGE: Final = 100
LANES: Final = 8
TURN_SECONDS: Final = 300.0
"""After this time an attempt begins no further trace.

An open trace may take as long as a pair. Both times together fit into the activity's start-to-close
time-out.
"""


@dataclass(frozen=True, slots=True)
class Missing:
    """A trace without some of its signals.

    `together`: the judged metrics that this run asks about the trace, in all attempts.
    """

    place: TraceInSession
    metrics: Sequence[TraceMetric]
    together: Sequence[JudgedMetric[Any]]


class SessionJudging:
    def __init__(self, database: Database, judging: TraceJudging) -> None:
        self._database = database
        self._judging = judging
        self._signals = SignalJudge(judging)
        self._references = CoherenceReferences(database)

    async def evaluate(self, pair: Pair, bearing: AttemptState) -> Evaluation:
        """Raises NotFound, RunClosed, TimeSliceExpired, and errors of the judge."""
        metric = catalog.session_metric(pair.metric)
        session_signals = await self._known_signals(pair, bearing)
        if not session_signals.values:
            raise NotFound("session", pair.target_id)
        references = await self._references.of(
            pair, session_signals.with_signal("coherence"), self._judging.embedder
        )
        case = session_signals.case(pair.spec.signal_weights or {}, references)
        evaluation = evaluate_session(metric, case)
        if isinstance(evaluation.outcome, NotApplicable) and session_signals.failures:
            raise JudgeFailed(
                "None of the signals of this session could be judged: "
                f"{session_signals.failures[0]}",
                provider="assay",
            )
        evaluation.metadata["sources"] = {
            "judge_model": pair.model,
            "embedding_model": self._judging.embedder.model,
            "judged": session_signals.judged,
            "reused": session_signals.reused,
            "failed": len(session_signals.failures),
        }
        return evaluation

    async def _known_signals(self, pair: Pair, bearing: AttemptState) -> SessionSignals:
        ends_at = time.monotonic() + TURN_SECONDS
        session_signals = SessionSignals()
        freshness = ReusePolicy(pair, self._judging.embedder.model)
        async for page in self._pages(pair):
            missing = await self._gather(freshness, page, session_signals)

            async def judge(missing: Missing) -> None:
                if time.monotonic() > ends_at:
                    raise TimeSliceExpired
                await self._judge(pair, missing, session_signals, bearing)

            errors = await run_bounded(missing, judge, width=LANES)
            try:
                raise_the_worst(errors)
            except JudgeError:
                raise
            except BaseException:
                # This error has no usage, so the attempt keeps the usage of the others.
                bearing.spend(usage_of(errors))
                raise
        return session_signals

    async def _gather(
        self,
        freshness: ReusePolicy,
        page: Sequence[TraceInSession],
        session_signals: SessionSignals,
    ) -> list[Missing]:
        """Adds the known signals of these traces, and returns the missing ones."""
        run = freshness.pair.run
        ids = [str(place.head.id) for place in page]
        async with self._database.read() as db:
            known = await score_sessions.signals(
                db, ProjectId(run.project_id), ids, [metric.name for metric in METRICS]
            )
        fresh = newest_covering(known, freshness, page)
        missing: list[Missing] = []
        for place in page:
            trace_id = place.head.id
            session_signals.values[trace_id] = {}
            wanted: list[TraceMetric] = []
            for metric in METRICS:
                signal = fresh.get((str(trace_id), metric.name))
                if signal is None:
                    wanted.append(metric)
                else:
                    session_signals.add(trace_id, signal, run_id=run.run_id)
            if wanted:
                missing.append(Missing(place, wanted, _asked_by(freshness.pair, place, fresh)))
        return missing

    async def _judge(
        self, pair: Pair, missing: Missing, session_signals: SessionSignals, bearing: AttemptState
    ) -> None:
        head = missing.place.head
        try:
            # Keeps a reference until the last metric is done, so that each metric finds the trace
            # loaded.
            reading = await self._judging.load(pair, head.id)
        except NotFound:
            return
        except JudgeFailed:
            reading = None  # Each signal of the trace fails with this reason.
        for metric in missing.metrics:
            signal = await self._signals.judge(pair, metric, missing.place, missing.together)
            if signal is not None:
                bearing.answered()
                session_signals.add(head.id, signal, run_id=pair.run.run_id)
        del reading

    async def _pages(self, pair: Pair) -> AsyncIterator[list[TraceInSession]]:
        project_id = ProjectId(pair.run.project_id)
        last: SessionHead | None = None
        tail: list[SessionHead] = []
        while True:
            async with self._database.read() as db:
                heads = await session_reads.heads(
                    db, project_id, pair.target_id, after=last, limit=PAGE
                )
            if not heads:
                return
            yield list(_places(tail, heads))
            last = heads[-1]
            tail = [*tail, *heads][-WINDOW:]


def _asked_by(
    pair: Pair, place: TraceInSession, known: Mapping[tuple[str, str], SignalScore]
) -> list[JudgedMetric[Any]]:
    """The judged metrics that have no reusable score of an earlier run; empty if each metric is
    asked alone.
    """
    if not pair.spec.bundle:
        return []
    signals = {metric: known.get((str(place.head.id), metric.name)) for metric in JUDGED}
    return [
        metric
        for metric, signal in signals.items()
        if signal is None or signal.run_id == pair.run.run_id
    ]


def _places(tail: Sequence[SessionHead], heads: Sequence[SessionHead]) -> Iterator[TraceInSession]:
    """`tail`: the traces directly before the first one."""
    everything = [*tail, *heads]
    for n, head in enumerate(heads, start=len(tail)):
        yield TraceInSession(head, everything[max(0, n - WINDOW) : n])


def raise_the_worst(errors: Sequence[BaseException]) -> None:
    """Raises one error with the usage of all; prefers errors that waiting cannot resolve."""
    if not errors:
        return
    worst = min(
        errors,
        key=lambda e: (isinstance(e, JudgeBusy | TimeSliceExpired), type(e) is TimeSliceExpired),
    )
    if not isinstance(worst, JudgeError):
        raise worst
    answered = (error.answered for error in errors if isinstance(error, JudgeError))
    raise worst.having_spent(usage_of(errors), reduce(add, answered, Usage()))


def usage_of(errors: Sequence[BaseException]) -> Usage:
    """The usage of the calls that gave no answer."""
    return reduce(add, (error.spent for error in errors if isinstance(error, JudgeError)), Usage())
