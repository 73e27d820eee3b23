"""The coherence references of a session's traces."""

from collections.abc import Iterator, Sequence
from typing import Final
from uuid import UUID

from activities.judging.pair import Pair
from core.db.database import Database
from core.ids import ProjectId
from core.queries import session_texts
from evals.judges.protocol import Embedder
from evals.signals import COHERENCE_REFERENCE, MIN_UNRELATED, coherence_references
from evals.transcript.plain_text import text_to_compare

MAX_UNRELATED: Final = 64
_OUTPUTS_AT_ONCE: Final = 50


class CoherenceReferences:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def of(
        self, pair: Pair, trace_ids: Sequence[UUID], embedder: Embedder
    ) -> dict[UUID, float]:
        """One reference per trace of the session. Raises JudgeError."""
        references = dict.fromkeys(trace_ids, COHERENCE_REFERENCE)
        if not trace_ids:
            return references
        project_id = ProjectId(pair.run.project_id)
        async with self._database.read() as db:
            inputs = await session_texts.unrelated_inputs(
                db, project_id, pair.target_id, limit=MAX_UNRELATED
            )
        unrelated = [text for text in map(text_to_compare, inputs) if text]
        if len(unrelated) < MIN_UNRELATED:
            return references
        vectors = await embedder.embed(unrelated)
        for page in _pages(trace_ids):
            async with self._database.read() as db:
                outputs = await session_texts.outputs(db, project_id, page)
            texts = {
                key: text for key, value in outputs.items() if (text := text_to_compare(value))
            }
            found = coherence_references(await embedder.embed([*texts.values()]), vectors)
            references.update(zip(texts, found, strict=True))
        return references


def _pages(trace_ids: Sequence[UUID]) -> Iterator[Sequence[UUID]]:
    for start in range(0, len(trace_ids), _OUTPUTS_AT_ONCE):
        yield trace_ids[start : start + _OUTPUTS_AT_ONCE]
