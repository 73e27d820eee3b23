"""A pair with the options of its run."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from cachetools import LRUCache

from activities.payloads import PairRef, RunRef
from core.db.database import Database
from core.ids import ProjectId, RunStatus, TargetType
from core.queries.run_reader import RunReader
from core.run_spec import RunSpec

MAX_SPECS: Final = 2_000


@dataclass(frozen=True, slots=True)
class Pair:
    """One target and one metric."""

    spec: RunSpec
    target_id: str
    metric: str

    @property
    def run(self) -> RunRef:
        return RunRef(self.spec.project_id, self.spec.run_id)

    @property
    def target_type(self) -> TargetType:
        return self.spec.target_type

    @property
    def model(self) -> str:
        return self.spec.model

    @property
    def fresh(self) -> bool:
        return self.spec.fresh


class PairReader:
    """Completes references to pairs.

    Reads each run once, because its specification never changes.

    `on_begin` is called with a run of which no worker has judged a pair before.
    """

    def __init__(self, database: Database, on_begin: Callable[[UUID], None]) -> None:
        self._on_begin = on_begin
        self._rows = RunReader(database)
        self._specs: LRUCache[UUID, RunSpec] = LRUCache(MAX_SPECS)

    async def read(self, ref: PairRef) -> Pair | None:
        """None if the run was deleted."""
        spec = self._specs.get(ref.run.run_id)
        if spec is None:
            row = await self._rows.find(ProjectId(ref.run.project_id), ref.run.run_id)
            if row is None:
                return None
            if row.status is RunStatus.PENDING:
                self._on_begin(row.id)
            spec = self._specs[ref.run.run_id] = RunSpec.of(row)
        return Pair(spec, ref.target_id, ref.metric)
