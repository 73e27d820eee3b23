"""Run rows as whoever polls reads them: many at once, few transactions."""

from collections.abc import Sequence
from uuid import UUID

from core.batching import Batcher
from core.database import Database
from core.errors import NotFound
from core.ids import ProjectId, TargetType
from core.queries import runs
from core.tables import EvalRun

Name = tuple[ProjectId, UUID]


class RunRows:
    """Callers share what they are given: it is not to be changed."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._reads: Batcher[Name, dict[Name, EvalRun]] = Batcher(self._read)

    async def find(self, project_id: ProjectId, run_id: UUID) -> EvalRun | None:
        """Read after this was called, never before."""
        return (await self._reads.submit((project_id, run_id))).get((project_id, run_id))

    async def get(self, project_id: ProjectId, run_id: UUID, target_type: TargetType) -> EvalRun:
        """Raises NotFound, also for a run over the other kind of target."""
        row = await self.find(project_id, run_id)
        if row is None or row.target_type is not target_type:
            raise NotFound("evaluation run", run_id)
        return row

    async def _read(self, batch: Sequence[Name]) -> dict[Name, EvalRun]:
        async with self._database.read_once() as db:
            return await runs.find_each(db, set(batch))
