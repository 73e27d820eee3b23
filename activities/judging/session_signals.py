"""The signals of a session's traces: reuses current scores, and judges the others."""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from activities.judging.pair import Pair
from activities.judging.run_guard import RunClosed
from activities.judging.score_builder import (
    TRACE_UPDATED_AT,
    failed_score,
    successful_score,
)
from activities.judging.traces import JudgedTrace, TraceJudging
from core.errors import JudgeFailed, NotFound
from core.ids import ScoreStatus, TargetType
from core.queries.score_sessions import SignalScore
from core.queries.session_reads import SessionHead
from core.trace_model import Trace
from evals import catalog
from evals.judges.shared_calls import SharedCalls
from evals.metric import JudgedMetric, TraceMetric
from evals.signals import COHERENCE_REFERENCE, SIGNAL_WEIGHTS, SessionCase, TraceSignals

METRICS: Final = tuple(catalog.signal_metric(name) for name in SIGNAL_WEIGHTS)
JUDGED: Final = tuple(metric for metric in METRICS if isinstance(metric, JudgedMetric))
WINDOW: Final = max(metric.window for metric in METRICS)


@dataclass(frozen=True, slots=True)
class ReusePolicy:
    """Conditions under which an earlier score replaces a new one."""

    pair: Pair
    embedding_model: str

    def covers(self, signal: SignalScore, metric: TraceMetric, place: "TraceInSession") -> bool:
        if signal.run_id == self.pair.run.run_id:
            # A score of this run, from an earlier attempt or the other session metric.
            return True
        return (
            not self.pair.fresh
            and signal.status is ScoreStatus.SUCCESS
            and place.is_unchanged_since(signal, metric)
            and signal.metadata.get("metric_version") == metric.version
            and self._same_model(signal, metric)
        )

    def _same_model(self, signal: SignalScore, metric: TraceMetric) -> bool:
        if not metric.judged:
            return signal.metadata.get("embedding_model") == self.embedding_model
        judge = signal.metadata.get("judge")
        return isinstance(judge, dict) and judge.get("model") == self.pair.model


@dataclass(frozen=True, slots=True)
class TraceInSession:
    """A trace, and up to `WINDOW` earlier traces of its session, oldest first."""

    head: SessionHead
    before: Sequence[SessionHead]

    def earlier(self, metric: TraceMetric) -> Sequence[SessionHead]:
        return self.before[-metric.window :] if metric.window else ()

    def is_unchanged_since(self, signal: SignalScore, metric: TraceMetric) -> bool:
        """Whether everything that the metric reads is as it was when the signal was judged."""
        scored_at = signal.created_at.timestamp()
        seen_at = min(scored_at, _moment(signal.metadata.get(TRACE_UPDATED_AT), scored_at))
        return self.head.updated_at.timestamp() <= seen_at and all(
            head.updated_at.timestamp() <= scored_at for head in self.earlier(metric)
        )


@dataclass(slots=True)
class SessionSignals:
    """The signals of one session so far, and their origin.

    `values` follows the order of the traces in the session.
    """

    values: dict[UUID, dict[str, float]] = field(default_factory=dict)
    judged: int = 0
    reused: int = 0
    failures: list[str] = field(default_factory=list)

    def add(self, trace_id: UUID, signal: SignalScore, *, run_id: UUID) -> None:
        if signal.status is ScoreStatus.FAILED:
            self.failures.append(signal.reason or signal.metric)
        elif signal.run_id == run_id:
            self.judged += 1
        else:
            self.reused += 1
        if signal.number is not None:
            self.values[trace_id][signal.metric] = signal.number

    def with_signal(self, metric: str) -> list[UUID]:
        return [trace_id for trace_id, values in self.values.items() if metric in values]

    def case(self, weights: Mapping[str, float], coherence: Mapping[UUID, float]) -> SessionCase:
        """The case of a session metric: all traces of the session, oldest first.

        `coherence`: the reference of coherence for each trace. The reference of every other signal
        is the threshold of its metric.
        """
        thresholds = {metric.name: metric.threshold for metric in METRICS}
        return SessionCase(
            tuple(
                TraceSignals(
                    str(trace_id),
                    values,
                    thresholds | {"coherence": coherence.get(trace_id, COHERENCE_REFERENCE)},
                )
                for trace_id, values in self.values.items()
            ),
            weights,
        )


def newest_covering(
    known: Sequence[SignalScore], freshness: ReusePolicy, places: Sequence[TraceInSession]
) -> Mapping[tuple[str, str], SignalScore]:
    """The newest usable score by trace and metric. `known` must be sorted, newest first."""
    metrics = {metric.name: metric for metric in METRICS}
    of_traces = {str(place.head.id): place for place in places}
    newest: dict[tuple[str, str], SignalScore] = {}
    for signal in known:
        key = (signal.trace_id, signal.metric)
        own = signal.run_id == freshness.pair.run.run_id
        if (key not in newest or own) and freshness.covers(
            signal, metrics[signal.metric], of_traces[signal.trace_id]
        ):
            newest[key] = signal
    return newest


def _moment(stored: object, default: float) -> float:
    """The timestamp of a stored moment; the default for scores of earlier releases."""
    try:
        return datetime.fromisoformat(str(stored)).timestamp()
    except ValueError:
        return default


class SignalJudge:
    """Judges each signal once for all concurrent callers, and stores its score."""

    def __init__(self, judging: TraceJudging) -> None:
        self._judging = judging
        self._calls: SharedCalls[tuple[UUID, UUID, str], SignalScore | None] = SharedCalls()

    async def judge(
        self,
        pair: Pair,
        metric: TraceMetric,
        place: TraceInSession,
        together: Sequence[JudgedMetric[Any]] = (),
    ) -> SignalScore | None:
        """None if the trace was deleted meanwhile. Raises RunClosed, JudgeBusy, JudgeUnusable."""
        key = (pair.run.run_id, place.head.id, metric.name)
        signal, _ = await self._calls.join(key, lambda: self._judge(pair, metric, place, together))
        return signal

    async def _judge(
        self,
        session: Pair,
        metric: TraceMetric,
        place: TraceInSession,
        together: Sequence[JudgedMetric[Any]],
    ) -> SignalScore | None:
        pair = replace(
            session,
            spec=replace(session.spec, target_type=TargetType.TRACE),
            target_id=str(place.head.id),
            metric=metric.name,
        )
        try:
            reading = await self._judging.load(pair, place.head.id)
            earlier = await self._traces(pair, place.earlier(metric))
            case = JudgedTrace(reading, earlier, together)
            evaluation = await self._judging.evaluate(pair, metric, case)
        except NotFound:
            return None
        except JudgeFailed as error:
            score = failed_score(pair, error.message, error.paid)
        else:
            score = successful_score(pair, evaluation, reading.trace)
        if not await self._judging.ledger.keep_score(score):
            raise RunClosed
        return SignalScore(
            trace_id=pair.target_id,
            metric=metric.name,
            status=score.status,
            number=score.number,
            reason=score.reason,
            run_id=score.run_id,
            created_at=place.head.updated_at,
            metadata=score.metadata,
        )

    async def _traces(self, pair: Pair, heads: Sequence[SessionHead]) -> list[Trace]:
        """Loads the traces; omits traces that were deleted meanwhile."""
        found: list[Trace] = []
        for head in heads:
            with contextlib.suppress(NotFound):
                found.append((await self._judging.load(pair, head.id)).trace)
        return found
