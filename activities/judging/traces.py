"""Judges traces: loads each trace once for all its metrics, and asks through the run guard and the
cache.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID
from weakref import WeakValueDictionary

from cachetools import TTLCache

from activities.judging.budget_ledger import BudgetLedger, RunSpending
from activities.judging.loading_room import LoadingRoom
from activities.judging.pair import Pair
from activities.judging.refusals import Refusals
from activities.judging.run_guard import RunGuard
from activities.judging.trace_processes import LARGE_BYTES, TraceProcesses, is_large
from activities.judging.wanted_metrics import WantedMetrics
from activities.judging.write_buffer import ProjectJudgements, WriteBuffer
from core.db.batching import Batcher
from core.db.database import Database
from core.errors import NotFound
from core.ids import ProjectId, RunId
from core.queries import trace_loading
from core.single_flight import SingleFlight
from core.trace_model import Trace
from evals import catalog
from evals.evaluation import Evaluation, evaluate
from evals.judges.cache import Questions, RememberingJudge
from evals.judges.delegating import DelegatingJudge
from evals.judges.offline import OFFLINE_MODEL
from evals.judges.protocol import A, Embedder, Judge, Judgement, Judges, Question
from evals.metric import JudgedMetric, TraceMetric
from evals.transcript.transcript import Transcript

LOAD_SECONDS: Final = 0.05
"""Interval between the loads of a busy worker; one query reads all traces that are requested
meanwhile.
"""

MAX_LOADED: Final = 20
"""Traces per query. A large trace has a query of its own."""

KEPT_SECONDS: Final = 5.0
MAX_KEPT: Final = 100
MAX_KEPT_CHARACTERS: Final = 60_000
"""A trace that renders in full within this length is kept briefly after judging, because its next
metrics begin when the first one has ended.
"""

_Key = tuple[UUID, UUID, UUID]


class TraceCache:
    """Shares one loaded trace among the activities that judge it at the same time."""

    def __init__(self, database: Database, processes: TraceProcesses) -> None:
        self._database = database
        self._processes = processes
        # Weak references: a trace is kept only while it is being judged.
        self._loaded: WeakValueDictionary[_Key, Transcript] = WeakValueDictionary()
        self._kept: TTLCache[_Key, Transcript] = TTLCache(MAX_KEPT, KEPT_SECONDS)
        self._loading: SingleFlight[_Key, Transcript] = SingleFlight()
        self._room = LoadingRoom()
        self._loads: Batcher[_Key, Mapping[_Key, Trace | int]] = Batcher(
            self._load_all, max_size=MAX_LOADED, every=LOAD_SECONDS
        )

    async def load(
        self,
        project_id: ProjectId,
        run_id: RunId,
        trace_id: UUID,
        input_tokens: int,
        *,
        may_wait: bool = True,
    ) -> Transcript:
        """Raises NotFound, JudgeFailed for a large trace that cannot be read in time, and NoPermit
        for a large trace without room in memory.

        `input_tokens`: the token budget of the judge that will read the trace. `may_wait`: false
        for callers that hold another trace.

        Metrics that are judged at the same time see the same state of the trace.
        """
        key = (project_id, run_id, trace_id)
        reading = self._loaded.get(key)
        if reading is not None:
            return reading
        return await self._loading.join(
            key, lambda: self._load(key, input_tokens, may_wait=may_wait)
        )

    def keep(self, project_id: ProjectId, run_id: RunId, transcript: Transcript) -> None:
        """Keeps a small trace for its remaining metrics."""
        if transcript.rendered_characters <= MAX_KEPT_CHARACTERS:
            self._kept[project_id, run_id, transcript.trace.id] = transcript

    async def _load(self, key: _Key, input_tokens: int, *, may_wait: bool) -> Transcript:
        found = await self._loads.by_key(key)
        if found is None:
            raise NotFound("trace", key[-1])
        if isinstance(found, int):
            reading = await self._load_large(key, input_tokens, found, may_wait=may_wait)
        else:
            reading = await self._read(found, input_tokens)
        self._loaded[key] = reading
        return reading

    async def _read(self, trace: Trace, input_tokens: int) -> Transcript:
        if is_large(trace):
            return await self._processes.transcript(trace, input_tokens)
        return Transcript(trace)

    async def _load_large(
        self, key: _Key, input_tokens: int, size: int, *, may_wait: bool
    ) -> Transcript:
        self._kept.expire()  # it may hold large traces with short renderings
        await self._room.take(size, may_wait=may_wait)
        try:
            async with self._database.read() as db:
                known = await trace_loading.load(db, ProjectId(key[0]), [key[-1]])
            if key[-1] not in known:
                raise NotFound("trace", key[-1])
            reading = await self._read(known[key[-1]], input_tokens)
        except BaseException:
            self._room.free(size)
            raise
        self._room.free_with(reading, size)
        return reading

    async def _load_all(self, keys: Sequence[_Key]) -> Mapping[_Key, Trace | int]:
        """The traces; of a large trace only its size."""
        of_project: defaultdict[ProjectId, list[_Key]] = defaultdict(list)
        for key in keys:
            of_project[ProjectId(key[0])].append(key)
        traces: dict[_Key, Trace | int] = {}
        async with self._database.read() as db:
            for project_id, wanted in of_project.items():
                sizes = await trace_loading.sizes(db, project_id, [key[-1] for key in wanted])
                large = {one: size for one, size in sizes.items() if size > LARGE_BYTES}
                small = [one for one in sizes if one not in large]
                loaded = await trace_loading.load(db, project_id, small) if small else {}
                known: dict[UUID, Trace | int] = {**large, **loaded}
                traces |= {key: known[key[-1]] for key in wanted if key[-1] in known}
        return traces


@dataclass(frozen=True, slots=True)
class JudgedTrace:
    """A trace, the earlier traces of its session, and the metrics that share one call."""

    transcript: Transcript
    earlier: Sequence[Trace] = ()
    together: Sequence[JudgedMetric[Any]] = ()


class GuardedJudge(DelegatingJudge):
    """A judge that refuses questions once the run is closed."""

    def __init__(
        self, judge: Judge, held_open: Callable[[], AbstractAsyncContextManager[None]]
    ) -> None:
        super().__init__(judge)
        self._held_open = held_open

    async def ask(self, question: Question[A]) -> Judgement[A]:
        """Raises RunClosed, and errors of the judge."""
        async with self._held_open():
            return await self._judge.ask(question)


class TraceJudging:
    """Judges traces for one worker; the caller stores the scores."""

    def __init__(
        self, database: Database, judges: Judges, ledger: WriteBuffer, processes: TraceProcesses
    ) -> None:
        self._judges = judges
        self._processes = processes
        self._traces = TraceCache(database, self._processes)
        self._wanted = WantedMetrics(database)
        self._guard = RunGuard(database)
        self.ledger = ledger
        self.budgets = BudgetLedger(database)
        self.refusals = Refusals()
        self._questions: defaultdict[ProjectId, Questions] = defaultdict(Questions)

    def _spending(self, pair: Pair) -> RunSpending | None:
        of_month = self._guard.has_monthly_budget(pair.run.run_id)
        if not of_month and not pair.spec.has_budget:
            return None
        return RunSpending(self.budgets, pair.spec, of_month=of_month)

    @property
    def embedder(self) -> Embedder:
        return self._judges.embedder()

    async def load(self, pair: Pair, trace_id: UUID, *, may_wait: bool = True) -> Transcript:
        """Raises and waits like `TraceCache.load`."""
        project_id, run_id = ProjectId(pair.run.project_id), RunId(pair.run.run_id)
        tokens = self._judges.judge(pair.model).input_tokens
        return await self._traces.load(project_id, run_id, trace_id, tokens, may_wait=may_wait)

    async def evaluate_trace(self, pair: Pair) -> tuple[Trace, Evaluation]:
        """Raises NotFound, RunClosed, and errors of the judge."""
        reading = await self.load(pair, UUID(pair.target_id))
        case = JudgedTrace(reading, together=await self._wanted.together(pair))
        found = await self.evaluate(pair, catalog.trace_metric(pair.metric), case)
        self._traces.keep(ProjectId(pair.run.project_id), RunId(pair.run.run_id), reading)
        return reading.trace, found

    async def evaluate(self, pair: Pair, metric: TraceMetric, case: JudgedTrace) -> Evaluation:
        """Raises RunClosed, and errors of the judge."""
        project_id, run_id = ProjectId(pair.run.project_id), RunId(pair.run.run_id)
        trace = case.transcript.trace
        if pair.model == OFFLINE_MODEL and isinstance(metric, JudgedMetric) and is_large(trace):
            await self._guard.check(project_id, run_id)
            return await self._processes.rule_score(trace, metric.name)
        remembering = RememberingJudge(
            self._judges.judge(pair.model),
            ProjectJudgements(self.ledger, project_id),
            self._questions[project_id],
            payer=f"{run_id}:{pair.target_id}",
            # A fresh run asks every question once; its own retries find the answers.
            scope=str(run_id) if pair.fresh else "",
            spending=lambda: self._spending(pair),
            answered=lambda: self.refusals.answered(run_id),
        )
        judge = GuardedJudge(remembering, lambda: self._guard.cancel_on_close(project_id, run_id))
        return await evaluate(
            metric, case.transcript, judge, self.embedder, case.earlier, case.together
        )
