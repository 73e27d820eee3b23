"""Stores the traces of concurrent requests in shared transactions."""

from collections.abc import Sequence

from api.quotas import Quotas
from core.db.batching import Batcher
from core.db.database import Database
from core.ids import ProjectId
from core.queries import trace_writes
from core.trace_input import TraceBody

_Incoming = tuple[ProjectId, TraceBody]

_MAX_BATCH = 50


class TraceIngest:
    def __init__(self, database: Database, quotas: Quotas) -> None:
        self._database = database
        self._quotas = quotas
        self._batches = Batcher(self._store_all, max_size=_MAX_BATCH)

    async def store(self, project_id: ProjectId, body: TraceBody) -> int:
        """Stores or merges a trace, and returns the number of spans that did not fit.

        Raises TooLarge for a `body` that does not fit and is not a SpanDerivedTrace, and Invalid if
        the project's quota is exhausted.
        """
        await self._quotas.check_storage(project_id)
        refused = await self._batches.submit((project_id, body))
        return refused[id(body)]

    async def _store_all(self, incoming: Sequence[_Incoming]) -> dict[int, int]:
        # Sorts by id, so that two processes never deadlock.
        ordered = sorted(incoming, key=lambda one: (one[0], one[1].trace_id))
        refused = await self._database.write_at_once(lambda db: trace_writes.store_all(db, ordered))
        return {id(body): count for (_, body), count in zip(ordered, refused, strict=True)}
