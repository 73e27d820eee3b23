"""Small writes share a transaction and fail alone."""

import asyncio

import pytest

from core.db.database import Database, Writer
from core.db.group_commit import GroupCommit
from core.ids import ProjectId
from core.queries import projects


async def test_concurrent_writes_share_a_transaction_and_keep_their_order(
    sqlite: Database,
) -> None:
    writes = GroupCommit(sqlite)
    seen: list[tuple[int, int]] = []

    async def write(number: int) -> int:
        async def work(db: Writer) -> int:
            seen.append((id(db), number))
            return number

        return await writes.write(work)

    assert await asyncio.gather(*(write(number) for number in range(9))) == list(range(9))
    assert [number for _, number in seen] == list(range(9))
    assert len({session for session, _ in seen}) < 9


async def test_a_write_that_fails_is_undone_alone(sqlite: Database) -> None:
    writes = GroupCommit(sqlite)

    async def bad(db: Writer) -> ProjectId:
        await projects.ensure(db, "bad")
        raise ValueError("refused")

    async def good(db: Writer) -> ProjectId:
        return await projects.ensure(db, "good")

    first = asyncio.create_task(writes.write(good))
    refused = asyncio.create_task(writes.write(bad))
    with pytest.raises(ValueError, match="refused"):
        await refused
    await first
    async with sqlite.read() as db:
        assert await projects.find(db, "good") is not None
        assert await projects.find(db, "bad") is None
