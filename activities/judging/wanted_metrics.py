"""The metrics that a run asks about each target, in one call."""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from cachetools import LRUCache

from activities.judging.pair import Pair
from core.db.database import Database
from core.queries import run_pairs
from core.single_flight import SingleFlight
from evals import catalog
from evals.metric import JudgedMetric

MAX_RUNS: Final = 50

Restricted = Mapping[str, Sequence[str]]


class WantedMetrics:
    """Reads once per run which targets need only some of its metrics, as in a retry."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._restricted: LRUCache[UUID, Restricted] = LRUCache(MAX_RUNS)
        self._reads: SingleFlight[UUID, Restricted] = SingleFlight()

    async def together(self, pair: Pair) -> list[JudgedMetric[Any]]:
        """The judged metrics that the run wants for the pair's trace; empty if each metric is asked
        alone.
        """
        if not pair.spec.bundle or len(pair.spec.metric_names) == 1:
            return []
        names = (await self._of_run(pair)).get(pair.target_id, pair.spec.metric_names)
        found = [catalog.trace_metric(name) for name in names]
        return [metric for metric in found if isinstance(metric, JudgedMetric)]

    async def _of_run(self, pair: Pair) -> Restricted:
        run_id = pair.run.run_id
        known = self._restricted.get(run_id)
        if known is None:
            known = await self._reads.join(run_id, lambda: self._read(run_id))
            self._restricted[run_id] = known
        return known

    async def _read(self, run_id: UUID) -> Restricted:
        async with self._database.read() as db:
            return await run_pairs.restricted_targets(db, run_id)
