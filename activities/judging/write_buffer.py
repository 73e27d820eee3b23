"""Writes judgements and scores, many per transaction."""

import asyncio
import contextlib
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self
from uuid import UUID, uuid4

from core.db.batching import Batcher
from core.db.database import Database, Writer
from core.ids import ProjectId
from core.judgement import StoredJudgement
from core.queries import judgement_claims, judgements, run_pairs, run_rows
from core.queries.judgements import JudgementKey
from core.queries.run_pairs import NewScore
from core.telemetry import measures

WRITE_SECONDS: Final = 0.1
READ_SECONDS: Final = 0.03
"""Interval between the batches of a busy buffer.

A transaction costs as much as ten of its rows, and a pair waits far longer for its judge.
"""

MANY_ENTRIES: Final = 24
"""That wait are written at once, because a worker that is killed loses the answers among them."""

MAX_UNWRITTEN: Final = 10_000


@dataclass(frozen=True, slots=True)
class Released:
    """The end of a claim, queued after the answers that the claim protected."""

    key: JudgementKey


@dataclass(frozen=True, slots=True)
class Begun:
    """Marks a run as begun."""

    run_id: UUID


Entry = NewScore | tuple[JudgementKey, StoredJudgement] | Released | Begun


class WriteBuffer:
    """Queues judgements and scores.

    A judgement can be found as soon as it is queued, a score once it is written. A judgement is
    written before the score of its pair, in the same queue, so callers wait only for scores. While
    the store is unavailable, this process keeps its paid judgements in memory, and writes them when
    they are requested again.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._owner = str(uuid4())
        self._claims: Batcher[JudgementKey, set[JudgementKey]] = Batcher(
            self._claim, every=READ_SECONDS
        )
        self._entries: Batcher[Entry, set[UUID]] = Batcher(
            self._write, every=WRITE_SECONDS, soon=MANY_ENTRIES
        )
        self._lookups: Batcher[JudgementKey, Mapping[JudgementKey, StoredJudgement]] = Batcher(
            self._read, every=READ_SECONDS
        )
        self._unwritten: dict[JudgementKey, StoredJudgement] = {}
        self._writing: set[asyncio.Task[None]] = set()

    async def keep_score(self, score: NewScore) -> bool:
        """True if the run was still open. An existing score of the pair stays."""
        with measures.SCORES_QUEUED.track_inprogress():
            return score.run_id in await self._entries.submit(score)

    def keep_judgement(self, key: JudgementKey, judgement: StoredJudgement) -> None:
        while len(self._unwritten) >= MAX_UNWRITTEN:
            del self._unwritten[next(iter(self._unwritten))]
        self._unwritten[key] = judgement
        measures.JUDGEMENTS_QUEUED.set(len(self._unwritten))
        self._in_background(self._write_down(key, judgement))

    async def find_judgement(self, key: JudgementKey) -> StoredJudgement | None:
        kept = self._unwritten.get(key)
        if kept is not None:
            self.keep_judgement(key, kept)
            return kept
        return await self._lookups.by_key(key)

    async def claim(self, key: JudgementKey) -> bool:
        """True if this worker may ask; the claim lasts for `CLAIM_SECONDS`."""
        return key in await self._claims.submit(key)

    def release(self, key: JudgementKey) -> None:
        """Ends the claim after the judgements under its key are written."""
        # A claim that cannot be ended expires.
        self._in_background(self._write_quietly(Released(key)))

    def mark_begun(self, run_id: UUID) -> None:
        """No caller waits for this write. Without it, the end of the run is still written."""
        self._in_background(self._write_quietly(Begun(run_id)))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Waits until everything queued is written."""
        while self._writing:
            await asyncio.wait(self._writing)

    def _in_background(self, writing: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(writing)
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)

    async def _write_quietly(self, entry: Entry) -> None:
        with contextlib.suppress(Exception):
            await self._entries.submit(entry)

    async def _claim(self, batch: Sequence[JudgementKey]) -> set[JudgementKey]:
        return await self._database.write_at_once(
            lambda db: judgement_claims.claim(db, self._owner, batch)
        )

    async def _write_down(self, key: JudgementKey, judgement: StoredJudgement) -> None:
        try:
            await self._entries.submit((key, judgement))
        except Exception:  # noqa: BLE001 - the write of the pair's score meets the error too
            return
        if self._unwritten.get(key) is judgement:
            del self._unwritten[key]
            measures.JUDGEMENTS_QUEUED.set(len(self._unwritten))

    async def _read(self, batch: Sequence[JudgementKey]) -> Mapping[JudgementKey, StoredJudgement]:
        return await self._database.read_at_once(
            lambda db: judgements.find(db, batch), one_statement=True
        )

    async def _write(self, batch: Sequence[Entry]) -> set[UUID]:
        """Writes one batch; returns the runs of its scores that are still open."""
        by_key = dict(entry for entry in batch if isinstance(entry, tuple))
        scores = [entry for entry in batch if isinstance(entry, NewScore)]
        released = [entry.key for entry in batch if isinstance(entry, Released)]
        begun = [entry.run_id for entry in batch if isinstance(entry, Begun)]

        async def write(db: Writer) -> set[UUID]:
            if by_key:
                await judgements.record(db, by_key)
            if released:
                await judgement_claims.release(db, self._owner, released)
            return await run_pairs.record(db, scores) if scores else set()

        if begun:
            await self._database.write_at_once(lambda db: run_rows.begin_all(db, begun))
        return await self._database.write_at_once(write)


class ProjectJudgements:
    """The `JudgementStore` of one project. Projects share no answers."""

    def __init__(self, ledger: WriteBuffer, project_id: ProjectId) -> None:
        self._ledger = ledger
        self._project_id = project_id

    async def get(self, key: str) -> StoredJudgement | None:
        return await self._ledger.find_judgement((self._project_id, key))

    async def put(self, key: str, judgement: StoredJudgement) -> None:
        self._ledger.keep_judgement((self._project_id, key), judgement)

    async def claim(self, key: str) -> bool:
        return await self._ledger.claim((self._project_id, key))

    async def release(self, key: str) -> None:
        self._ledger.release((self._project_id, key))
