"""What judging came to, written down: judgements and scores, many to a transaction."""

import asyncio
from collections.abc import Sequence
from typing import Final, Self
from uuid import UUID

from core.batching import Batcher
from core.database import Database
from core.ids import ProjectId
from core.queries import judgements, pairs
from core.queries.judgements import KeptJudgement
from core.queries.pairs import NewScore
from evals.memory import StoredJudgement

Key = tuple[ProjectId, str]

WRITE_SECONDS: Final = 0.025
READ_SECONDS: Final = 0.01
"""Pace of a busy ledger: what a pair waits for company, far below what a judge takes."""

MOST_UNWRITTEN: Final = 10_000


class Ledger:
    """A judgement is known from the moment it is kept, a score once it is written.

    Nobody waits for a judgement to be written: it goes into the same queue as its
    pair's score, before it. While the store is away this process remembers what it
    has paid for, and writes it when it is asked for again.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._entries: Batcher[NewScore | KeptJudgement, set[UUID]] = Batcher(
            self._write, every=WRITE_SECONDS
        )
        self._lookups: Batcher[Key, dict[Key, KeptJudgement]] = Batcher(
            self._read, every=READ_SECONDS
        )
        self._unwritten: dict[Key, KeptJudgement] = {}
        self._writing: set[asyncio.Task[None]] = set()

    async def keep_score(self, score: NewScore) -> bool:
        """Whether the run was open still; a pair that has a score keeps the one it has."""
        return score.run_id in await self._entries.submit(score)

    def keep_judgement(self, made: KeptJudgement) -> None:
        while len(self._unwritten) >= MOST_UNWRITTEN:
            del self._unwritten[next(iter(self._unwritten))]
        key = (made.project_id, made.key)
        self._unwritten[key] = made
        task = asyncio.create_task(self._write_down(key, made))
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)

    async def find_judgement(self, project_id: ProjectId, key: str) -> KeptJudgement | None:
        kept = self._unwritten.get((project_id, key))
        if kept is not None:
            self.keep_judgement(kept)
            return kept
        return (await self._lookups.submit((project_id, key))).get((project_id, key))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Waits for what is being written."""
        while self._writing:
            await asyncio.wait(self._writing)

    async def _write_down(self, key: Key, made: KeptJudgement) -> None:
        try:
            await self._entries.submit(made)
        except Exception:  # noqa: BLE001 - whatever it was, the pair's score meets it next and says so
            return
        if self._unwritten.get(key) is made:
            del self._unwritten[key]

    async def _read(self, batch: Sequence[Key]) -> dict[Key, KeptJudgement]:
        async with self._database.read_once() as db:
            return await judgements.find(db, batch)

    async def _write(self, batch: Sequence[NewScore | KeptJudgement]) -> set[UUID]:
        """The runs of these scores that are still open."""
        made = [entry for entry in batch if isinstance(entry, KeptJudgement)]
        scores = [entry for entry in batch if isinstance(entry, NewScore)]
        async with self._database.write() as db:
            if made:
                await judgements.record(db, made)
            return await pairs.record(db, scores) if scores else set()


class ProjectJudgements:
    """The `evals.memory.JudgementStore` of one project: no answer crosses between projects."""

    def __init__(self, ledger: Ledger, project_id: ProjectId) -> None:
        self._ledger = ledger
        self._project_id = project_id

    async def get(self, key: str) -> StoredJudgement | None:
        found = await self._ledger.find_judgement(self._project_id, key)
        if found is None:
            return None
        return StoredJudgement(
            model=found.model,
            answer=found.answer,
            prompt_tokens=found.prompt_tokens,
            completion_tokens=found.completion_tokens,
            cost_usd=found.cost_usd,
        )

    async def put(self, key: str, judgement: StoredJudgement) -> None:
        self._ledger.keep_judgement(
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
