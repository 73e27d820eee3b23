"""Judging a session: the signals of its traces, and what a session metric makes of them.

A session may be of any length. Its traces are read a page at a time, a few of
them judged at once, and each signal is stored as soon as it is known. An attempt
takes its turn and ends; the next one finds what is stored and goes on from there.
"""

import time
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Final

from activities.endurance import Bearing
from activities.failures import TurnOver
from activities.inputs import Pair
from activities.judging import Judging
from activities.lanes import in_lanes
from activities.signals import (
    METRICS,
    WINDOW,
    Found,
    Freshness,
    Place,
    SignalJudge,
    newest_covering,
)
from core.database import Database
from core.errors import JudgeBusy, JudgeError, JudgeFailed, NotFound
from core.ids import ProjectId
from core.queries import runs, session_scores, sessions
from core.queries.sessions import Head
from core.usage import Usage
from evals import catalog
from evals.evaluation import Evaluation, evaluate_session
from evals.metric import NotApplicable, TraceMetric

PAGE: Final = 100
LANES: Final = 8
TURN_SECONDS: Final = 300.0
"""After this an attempt begins nothing new. What is under way then may take as long as a pair
at most: both together fit into the activity's start-to-close."""


@dataclass(frozen=True, slots=True)
class Missing:
    place: Place
    metrics: Sequence[TraceMetric]


class Sessions:
    def __init__(self, database: Database, judging: Judging) -> None:
        self._database = database
        self._judging = judging
        self._signals = SignalJudge(judging)

    async def evaluate(self, pair: Pair, bearing: Bearing) -> Evaluation:
        """Raises NotFound, RunClosed, TurnOver, and what a judge may raise."""
        metric = catalog.session_metric(pair.metric)
        weights = await self._weights(pair)
        found = await self._found(pair, bearing)
        if not found.values:
            raise NotFound("session", pair.target_id)
        evaluation = evaluate_session(metric, found.case(weights))
        if isinstance(evaluation.outcome, NotApplicable) and found.failures:
            raise JudgeFailed(
                f"None of the signals of this session could be judged: {found.failures[0]}",
                provider="assay",
            )
        evaluation.metadata["sources"] = {
            "judge_model": pair.model,
            "embedding_model": self._judging.embedding_model,
            "judged": found.judged,
            "reused": found.reused,
            "failed": len(found.failures),
        }
        return evaluation

    async def _weights(self, pair: Pair) -> dict[str, float]:
        async with self._database.read() as db:
            run = await runs.get(db, ProjectId(pair.run.project_id), pair.run.run_id)
        return dict(run.filters.get("signal_weights") or {})

    async def _found(self, pair: Pair, bearing: Bearing) -> Found:
        ends_at = time.monotonic() + TURN_SECONDS
        found = Found()
        freshness = Freshness(pair, self._judging.embedding_model)
        async for page in self._pages(pair):
            missing = await self._gather(freshness, page, found)

            async def judge(one: Missing) -> None:
                if time.monotonic() > ends_at:
                    raise TurnOver
                await self._judge(pair, one, found, bearing)

            _raise_the_worst(await in_lanes(missing, judge, width=LANES))
        return found

    async def _gather(
        self, freshness: Freshness, page: Sequence[Place], found: Found
    ) -> list[Missing]:
        """Takes what is known of these traces, and answers what is not."""
        run = freshness.pair.run
        ids = [str(place.head.id) for place in page]
        async with self._database.read() as db:
            known = await session_scores.signals(
                db, ProjectId(run.project_id), ids, [metric.name for metric in METRICS]
            )
        fresh = newest_covering(known, freshness, page)
        missing: list[Missing] = []
        for place in page:
            trace_id = place.head.id
            found.values[trace_id] = {}
            wanted: list[TraceMetric] = []
            for metric in METRICS:
                signal = fresh.get((str(trace_id), metric.name))
                if signal is None:
                    wanted.append(metric)
                else:
                    found.add(trace_id, signal, run_id=run.run_id)
            if wanted:
                missing.append(Missing(place, wanted))
        return missing

    async def _judge(self, pair: Pair, missing: Missing, found: Found, bearing: Bearing) -> None:
        head = missing.place.head
        try:
            # Held until the last of its metrics is done: each of them finds it loaded.
            reading = await self._judging.load(pair, head.id)
        except NotFound:
            return
        for metric in missing.metrics:
            signal = await self._signals.judge(pair, metric, missing.place)
            if signal is not None:
                bearing.answered()
                found.add(head.id, signal, run_id=pair.run.run_id)
        del reading

    async def _pages(self, pair: Pair) -> AsyncIterator[list[Place]]:
        project_id = ProjectId(pair.run.project_id)
        last: Head | None = None
        tail: list[Head] = []
        while True:
            async with self._database.read() as db:
                heads = await sessions.heads(db, project_id, pair.target_id, after=last, limit=PAGE)
            if not heads:
                return
            yield list(_places(tail, heads))
            last = heads[-1]
            tail = [*tail, *heads][-WINDOW:]


def _places(tail: Sequence[Head], heads: Sequence[Head]) -> Iterator[Place]:
    """`tail`: what comes right before the first."""
    everything = [*tail, *heads]
    for n, head in enumerate(heads, start=len(tail)):
        yield Place(head, everything[max(0, n - WINDOW) : n])


def _raise_the_worst(errors: Sequence[BaseException]) -> None:
    """One error of several: what no waiting mends first, with what all of them spent."""
    if not errors:
        return
    worst = min(errors, key=lambda e: (isinstance(e, JudgeBusy | TurnOver), type(e) is TurnOver))
    if not isinstance(worst, JudgeError):
        raise worst
    spent = (error.spent for error in errors if isinstance(error, JudgeError))
    raise worst.having_spent(reduce(add, spent, Usage()))
