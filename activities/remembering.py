"""Completed judge stages kept in the judgement table, many to a transaction."""

import asyncio
from collections.abc import Sequence
from itertools import count

from sqlalchemy.exc import SQLAlchemyError

from activities.failures import pause
from core import dialect
from core.batching import Batcher
from core.database import Database
from core.ids import ProjectId
from core.queries import judgements
from core.queries.judgements import KeptJudgement
from evals.memory import StoredJudgement

Key = tuple[ProjectId, str]


class Judgements:
    def __init__(self, database: Database) -> None:
        self._database = database
        self._reads: Batcher[Key, dict[Key, KeptJudgement]] = Batcher(self._read)
        self._writes: Batcher[KeptJudgement, None] = Batcher(self._write)

    def of(self, project_id: ProjectId) -> "ProjectJudgements":
        return ProjectJudgements(self, project_id)

    async def find(self, project_id: ProjectId, key: str) -> StoredJudgement | None:
        found = (await self._reads.submit((project_id, key))).get((project_id, key))
        if found is None:
            return None
        return StoredJudgement(
            model=found.model,
            answer=found.answer,
            prompt_tokens=found.prompt_tokens,
            completion_tokens=found.completion_tokens,
            cost_usd=found.cost_usd,
        )

    async def keep(self, made: KeptJudgement) -> None:
        """Waits for a store that is away: given up here, a paid answer would be asked for again."""
        for attempt in count(1):
            try:
                await self._writes.submit(made)
            except (SQLAlchemyError, OSError) as error:
                if not dialect.is_away(error):
                    raise
                await asyncio.sleep(pause(attempt))
            else:
                return

    async def _read(self, batch: Sequence[Key]) -> dict[Key, KeptJudgement]:
        async with self._database.read() as db:
            return await judgements.find(db, batch)

    async def _write(self, batch: Sequence[KeptJudgement]) -> None:
        async with self._database.write() as db:
            await judgements.record(db, batch)


class ProjectJudgements:
    """The `evals.memory.JudgementStore` of one project: no answer crosses between projects."""

    def __init__(self, judgements: Judgements, project_id: ProjectId) -> None:
        self._judgements = judgements
        self._project_id = project_id

    async def get(self, key: str) -> StoredJudgement | None:
        return await self._judgements.find(self._project_id, key)

    async def put(self, key: str, judgement: StoredJudgement) -> None:
        await self._judgements.keep(
            KeptJudgement(
                project_id=self._project_id,
                key=key,
                model=judgement.model,
                answer=judgement.answer,
                prompt_tokens=judgement.prompt_tokens,
                completion_tokens=judgement.completion_tokens,
                cost_usd=judgement.cost_usd,
            )
        )
