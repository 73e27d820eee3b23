"""The signals of a session's traces: found where they are fresh, judged and kept where not."""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final
from uuid import UUID

from activities.gate import RunClosed
from activities.inputs import Pair
from activities.judging import Judging
from activities.keeping import failure, success
from core.errors import JudgeError, JudgeFailed, NotFound
from core.ids import ScoreStatus, TargetType
from core.queries.session_scores import Signal
from core.queries.sessions import Head
from core.records import Trace
from core.usage import Usage
from evals import catalog
from evals.metric import TraceMetric
from evals.signals import SIGNAL_WEIGHTS, SessionCase, TraceSignals

METRICS: Final = tuple(catalog.signal_metric(name) for name in SIGNAL_WEIGHTS)
WINDOW: Final = max(metric.window for metric in METRICS)


@dataclass(frozen=True, slots=True)
class Freshness:
    """What an earlier score must have been made of, to be as good as a new one."""

    pair: Pair
    embedding_model: str

    def covers(self, signal: Signal, metric: TraceMetric, changed_at: float) -> bool:
        if signal.run_id == self.pair.run.run_id:
            # Of this run, judged in an earlier attempt or for the other session metric.
            return True
        return (
            not self.pair.fresh
            and signal.status is ScoreStatus.SUCCESS
            and changed_at <= signal.created_at.timestamp()
            and signal.metadata.get("metric_version") == metric.version
            and self._same_model(signal, metric)
        )

    def _same_model(self, signal: Signal, metric: TraceMetric) -> bool:
        if not metric.judged:
            return signal.metadata.get("embedding_model") == self.embedding_model
        judge = signal.metadata.get("judge")
        return isinstance(judge, dict) and judge.get("model") == self.pair.model


@dataclass(frozen=True, slots=True)
class Place:
    """A trace, and those before it in its session, oldest first: at most `WINDOW`."""

    head: Head
    before: Sequence[Head]

    def earlier(self, metric: TraceMetric) -> Sequence[Head]:
        return self.before[-metric.window :] if metric.window else ()

    def changed_at(self, metric: TraceMetric) -> float:
        """When anything last changed that the metric looks at."""
        seen = (self.head, *self.earlier(metric))
        return max(head.updated_at.timestamp() for head in seen)


@dataclass(slots=True)
class Found:
    """Of one session so far: each trace's signals, and where they came from.

    `values` is in the order of the session: each trace is entered when it is come to.
    """

    values: dict[UUID, dict[str, float]] = field(default_factory=dict)
    judged: int = 0
    reused: int = 0
    failures: list[str] = field(default_factory=list)

    def add(self, trace_id: UUID, signal: Signal, *, run_id: UUID) -> None:
        if signal.status is ScoreStatus.FAILED:
            self.failures.append(signal.reason or signal.metric)
        elif signal.run_id == run_id:
            self.judged += 1
        else:
            self.reused += 1
        if signal.number is not None:
            self.values[trace_id][signal.metric] = signal.number

    def case(self, weights: Mapping[str, float]) -> SessionCase:
        """The traces that have a signal, oldest first."""
        traces = (TraceSignals(str(id), values) for id, values in self.values.items())
        return SessionCase(tuple(traces), weights)


def newest_covering(
    known: Sequence[Signal], freshness: Freshness, places: Sequence[Place]
) -> Mapping[tuple[str, str], Signal]:
    """By trace and metric. `known` is ordered, the newest first."""
    metrics = {metric.name: metric for metric in METRICS}
    changed = {
        (str(place.head.id), metric.name): place.changed_at(metric)
        for place in places
        for metric in METRICS
    }
    found: dict[tuple[str, str], Signal] = {}
    for signal in known:
        key = (signal.trace_id, signal.metric)
        own = signal.run_id == freshness.pair.run.run_id
        if (key not in found or own) and freshness.covers(
            signal, metrics[signal.metric], changed[key]
        ):
            found[key] = signal
    return found


class SignalJudge:
    """Judges one signal once, whoever asks for it at the same time, and keeps its score."""

    def __init__(self, judging: Judging) -> None:
        self._judging = judging
        self._under_way: dict[tuple[UUID, UUID, str], asyncio.Task[Signal | None]] = {}

    async def judge(self, pair: Pair, metric: TraceMetric, place: Place) -> Signal | None:
        """None: the trace was deleted meanwhile. Raises RunClosed, JudgeBusy, JudgeUnusable."""
        key = (pair.run.run_id, place.head.id, metric.name)
        task = self._under_way.get(key)
        if task is not None:
            try:
                return await asyncio.shield(task)
            except JudgeError as error:
                # Whoever asked first pays.
                raise error.having_spent(Usage()) from None
        task = asyncio.create_task(self._judge(pair, metric, place))
        self._under_way[key] = task

        def done(ended: asyncio.Task[Signal | None]) -> None:
            del self._under_way[key]
            if not ended.cancelled():
                # Whoever asked may have been cancelled; then nobody else looks at its error.
                ended.exception()

        task.add_done_callback(done)
        return await asyncio.shield(task)

    async def _judge(self, session: Pair, metric: TraceMetric, place: Place) -> Signal | None:
        pair = replace(
            session,
            target_type=TargetType.TRACE,
            target_id=str(place.head.id),
            metric=metric.name,
        )
        try:
            reading = await self._judging.load(pair, place.head.id)
        except NotFound:
            return None
        try:
            earlier = await self._traces(pair, place.earlier(metric))
            evaluation = await self._judging.evaluate(pair, metric, reading, earlier)
        except JudgeFailed as error:
            score = failure(pair, error.message, error.spent)
        else:
            score = success(pair, evaluation, reading.trace.environment)
        if not await self._judging.ledger.keep_score(score):
            raise RunClosed
        return Signal(
            trace_id=pair.target_id,
            metric=metric.name,
            status=score.status,
            number=score.number,
            reason=score.reason,
            run_id=score.run_id,
            created_at=place.head.updated_at,
            metadata=score.metadata,
        )

    async def _traces(self, pair: Pair, heads: Sequence[Head]) -> list[Trace]:
        """Without those deleted meanwhile."""
        found: list[Trace] = []
        for head in heads:
            with contextlib.suppress(NotFound):
                found.append((await self._judging.load(pair, head.id)).trace)
        return found
