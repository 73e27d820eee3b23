"""Transactions that need no event loop between their statements."""

import asyncio
import threading

import pytest
from sqlalchemy import func, select

from core.db.database import Database, Reader, Writer
from core.db.tables import Project
from core.ids import ProjectId
from core.queries import projects


async def count(db: Reader) -> int:
    return await db.scalar(select(func.count()).select_from(Project)) or 0


async def test_a_transaction_at_once_is_committed_or_undone_as_a_whole(database: Database) -> None:
    async def bad(db: Writer) -> ProjectId:
        await projects.ensure(db, "bad")
        raise ValueError("refused")

    made = await database.write_at_once(lambda db: projects.ensure(db, "good"))
    with pytest.raises(ValueError, match="refused"):
        await database.write_at_once(bad)
    assert await database.read_at_once(count) == 1
    assert await database.read_at_once(lambda db: projects.find(db, "good")) == made
    found = await database.read_at_once(lambda db: projects.find(db, "good"), one_statement=True)
    assert found == made


async def test_a_busy_event_loop_holds_no_transaction_open(sqlite: Database) -> None:
    begun, ended = threading.Event(), threading.Event()

    async def write(db: Writer) -> None:
        begun.set()
        await projects.ensure(db, "first")
        await projects.ensure(db, "second")
        ended.set()

    async def read(db: Reader) -> None:
        begun.set()
        await count(db)
        await count(db)
        ended.set()

    for work in (sqlite.write_at_once(write), sqlite.read_at_once(read)):
        begun.clear()
        ended.clear()
        running = asyncio.create_task(work)
        while not begun.is_set():
            await asyncio.sleep(0)
        assert ended.wait(20), "its statements wait for the event loop"
        await running


async def test_work_that_waits_for_something_else_is_refused_and_undone(sqlite: Database) -> None:
    async def work(db: Writer) -> None:
        await projects.ensure(db, "new")
        await asyncio.sleep(0)

    with pytest.raises(RuntimeError, match="nothing but its session"):
        await sqlite.write_at_once(work)
    assert await sqlite.read_at_once(count) == 0


async def test_writes_at_once_and_other_writes_wait_for_each_other(sqlite: Database) -> None:
    async def through_the_loop(name: str) -> None:
        async with sqlite.write() as db:
            await projects.ensure(db, name)

    async def at_once(name: str) -> None:
        await sqlite.write_at_once(lambda db: projects.ensure(db, name))

    ways = (through_the_loop, at_once)
    await asyncio.gather(*(ways[n % 2](f"project {n}") for n in range(10)))
    assert await sqlite.read_at_once(count) == 10
