"""Small writes of concurrent callers in one transaction."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from core.db.batching import Batcher
from core.db.database import Database, Writer

T = TypeVar("T")

MAX_WRITES: Final = 30
"""Maximum duration of one transaction, because other writers wait for it."""


@dataclass(frozen=True, slots=True, eq=False)
class _Write:
    work: Callable[[Writer], Awaitable[Any]]


class GroupCommit:
    """Combines small writes, because a transaction costs more than a small write, and SQLite allows
    one writer at a time.

    Writes happen in the order of the calls.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._writes: Batcher[_Write, Mapping[_Write, Any]] = Batcher(
            self._commit, max_size=MAX_WRITES
        )

    async def write(self, work: Callable[[Writer], Awaitable[T]]) -> T:
        """The result of `work`, once it is committed. Raises what `work` raises.

        `work` awaits nothing but its session. If another write of the transaction fails, `work` is
        called again in another transaction.
        """
        asked = _Write(work)
        made: T = (await self._writes.submit(asked))[asked]
        return made

    async def _commit(self, batch: Sequence[_Write]) -> Mapping[_Write, Any]:
        async def write_all(db: Writer) -> Mapping[_Write, Any]:
            return {asked: await asked.work(db) for asked in batch}

        return await self._database.write_at_once(write_all)
