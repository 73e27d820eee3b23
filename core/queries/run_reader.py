"""Reads the run rows that clients poll, many rows per query."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from core.db.batching import Batcher
from core.db.database import Database
from core.db.tables import EvalRun
from core.errors import NotFound
from core.ids import ProjectId, TargetType
from core.queries import run_rows

RunKey = tuple[ProjectId, UUID]


class RunReader:
    """Concurrent reads share one query. Callers share the rows, so they must not change them."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._reads: Batcher[RunKey, Mapping[RunKey, EvalRun]] = Batcher(self._read)

    async def find(self, project_id: ProjectId, run_id: UUID) -> EvalRun | None:
        """The row, read after this call began."""
        return await self._reads.by_key((project_id, run_id))

    async def get(self, project_id: ProjectId, run_id: UUID, target_type: TargetType) -> EvalRun:
        """Raises NotFound, also for a run over another kind of target."""
        row = await self.find(project_id, run_id)
        if row is None or row.target_type is not target_type:
            raise NotFound("evaluation run", run_id)
        return row

    async def _read(self, batch: Sequence[RunKey]) -> dict[RunKey, EvalRun]:
        return await self._database.read_at_once(
            lambda db: run_rows.find_all(db, set(batch)), one_statement=True
        )
