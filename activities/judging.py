"""Asking the judge: the trace loaded once for all its metrics, each stage gated and remembered."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Final
from uuid import UUID
from weakref import WeakValueDictionary

from activities.gate import Gate
from activities.inputs import Pair
from activities.ledger import Ledger, ProjectJudgements
from core.batching import Batcher
from core.database import Database
from core.errors import NotFound
from core.ids import ProjectId, RunId
from core.queries import loading
from core.records import Trace
from evals import catalog
from evals.evaluation import Evaluation, evaluate
from evals.judge import A, Judge, Judgement, Judges, Question
from evals.memory import Flights, RememberingJudge
from evals.metric import TraceMetric
from evals.reading import Reading

LOAD_SECONDS: Final = 0.05
"""Pace of a busy worker's loads: one query reads all the traces it begins with meanwhile."""

MOST_LOADED: Final = 20
"""Traces read by one query: a large one may have megabytes."""

_Key = tuple[UUID, UUID, UUID]


class Traces:
    """Shares one loaded trace among the activities that judge it at the same time."""

    def __init__(self, database: Database) -> None:
        self._database = database
        # Weak: a trace is kept only while somebody judges it.
        self._loaded: WeakValueDictionary[_Key, Reading] = WeakValueDictionary()
        self._loading: dict[_Key, asyncio.Task[Reading]] = {}
        self._loads: Batcher[_Key, dict[_Key, Trace]] = Batcher(
            self._load_all, most=MOST_LOADED, every=LOAD_SECONDS
        )

    async def load(self, project_id: ProjectId, run_id: RunId, trace_id: UUID) -> Reading:
        """Raises NotFound. Metrics judged together see the same state of a trace."""
        key = (project_id, run_id, trace_id)
        reading = self._loaded.get(key)
        if reading is not None:
            return reading
        task = self._loading.get(key)
        if task is None:
            task = asyncio.create_task(self._load(key))
            self._loading[key] = task
            task.add_done_callback(lambda _: self._loading.pop(key))
        return await asyncio.shield(task)

    async def _load(self, key: _Key) -> Reading:
        trace = (await self._loads.submit(key)).get(key)
        if trace is None:
            raise NotFound("trace", key[-1])
        reading = Reading(trace)
        self._loaded[key] = reading
        return reading

    async def _load_all(self, keys: Sequence[_Key]) -> dict[_Key, Trace]:
        of_project: defaultdict[UUID, list[_Key]] = defaultdict(list)
        for key in keys:
            of_project[key[0]].append(key)
        found: dict[_Key, Trace] = {}
        async with self._database.read() as db:
            for project_id, wanted in of_project.items():
                ids = [trace_id for _, _, trace_id in wanted]
                known = await loading.load(db, ProjectId(project_id), ids)
                found |= {key: known[key[-1]] for key in wanted if key[-1] in known}
        return found


class GatedJudge:
    """A judge that is asked nothing more once the run is closed."""

    def __init__(
        self, judge: Judge, held_open: Callable[[], AbstractAsyncContextManager[None]]
    ) -> None:
        self._judge = judge
        self._held_open = held_open

    @property
    def model(self) -> str:
        return self._judge.model

    @property
    def input_tokens(self) -> int:
        return self._judge.input_tokens

    @property
    def parameters(self) -> str:
        return self._judge.parameters

    async def ask(self, question: Question[A]) -> Judgement[A]:
        """Raises RunClosed besides what every judge may raise."""
        async with self._held_open():
            return await self._judge.ask(question)


class Judging:
    """Everything one worker needs to judge a trace, save the store for its score."""

    def __init__(self, database: Database, judges: Judges, ledger: Ledger) -> None:
        self._judges = judges
        self._traces = Traces(database)
        self._gate = Gate(database)
        self.ledger = ledger
        self._flights: defaultdict[ProjectId, Flights] = defaultdict(Flights)

    @property
    def embedding_model(self) -> str:
        return self._judges.embedder().model

    async def load(self, pair: Pair, trace_id: UUID) -> Reading:
        """Raises NotFound."""
        run = pair.run
        return await self._traces.load(ProjectId(run.project_id), RunId(run.run_id), trace_id)

    async def evaluate_trace(self, pair: Pair) -> tuple[Trace, Evaluation]:
        """Raises NotFound, RunClosed, and what a judge may raise."""
        reading = await self.load(pair, UUID(pair.target_id))
        return reading.trace, await self.evaluate(pair, catalog.trace_metric(pair.metric), reading)

    async def evaluate(
        self, pair: Pair, metric: TraceMetric, reading: Reading, earlier: Sequence[Trace] = ()
    ) -> Evaluation:
        """Raises RunClosed, and what a judge may raise."""
        project_id, run_id = ProjectId(pair.run.project_id), RunId(pair.run.run_id)
        remembering = RememberingJudge(
            self._judges.judge(pair.model),
            ProjectJudgements(self.ledger, project_id),
            self._flights[project_id],
            # A fresh run asks again, once: its own retries still find what it asked.
            scope=str(run_id) if pair.fresh else "",
        )
        judge = GatedJudge(remembering, lambda: self._gate.held_open(project_id, run_id))
        return await evaluate(metric, reading, judge, self._judges.embedder(), earlier)
