"""Isolation of sessions from concurrent writes."""

import asyncio
import stat
from pathlib import Path

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import QueuePool

from core import migrations
from core.db import database as database_module
from core.db import dialect
from core.db.database import Database, Reader
from core.db.tables import Project
from core.open_database import open_database
from core.settings import Settings
from tests.conftest import make_project


async def count(db: Reader) -> int:
    return await db.scalar(select(func.count()).select_from(Project)) or 0


async def test_a_reader_sees_the_store_as_it_was_when_it_first_looked(database: Database) -> None:
    await make_project(database, "before")
    async with database.read() as db:
        assert await count(db) == 1
        await make_project(database, "meanwhile")
        assert await count(db) == 1
    async with database.read() as db:
        assert await count(db) == 2


async def test_statements_that_stand_alone_hold_nothing_between_them(database: Database) -> None:
    async with database.read_autocommit() as db:
        assert await count(db) == 0
        await make_project(database, "meanwhile")
        assert await count(db) == 1


async def test_after_a_statement_alone_the_same_connection_reads_snapshots(
    database: Database,
) -> None:
    async with database.read_autocommit() as db:
        assert await count(db) == 0
    async with database.read() as db:
        assert await count(db) == 0
        await make_project(database, "meanwhile")
        assert await count(db) == 0


async def test_behind_a_locked_database_writers_are_refused_in_good_time(
    sqlite: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_module, "WRITE_LOCK_SECONDS", 0.1)
    locked, release = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        async with sqlite.write():
            locked.set()
            await release.wait()

    async def write() -> None:
        async with sqlite.write() as db:
            await db.execute(text("SELECT 1"))

    holder = asyncio.create_task(hold())
    await locked.wait()
    async with asyncio.timeout(2):
        ends = await asyncio.gather(*(write() for _ in range(10)), return_exceptions=True)
    assert all(isinstance(end, PoolTimeout) and dialect.is_transient(end) for end in ends)
    release.set()
    await holder
    await write()


async def test_closing_waits_for_a_connection_in_use(any_database_url: str) -> None:
    database = Database(any_database_url)
    pool = database.engine.pool
    assert isinstance(pool, QueuePool)
    in_use, release = asyncio.Event(), asyncio.Event()

    async def use() -> None:
        async with database.read() as db:
            await db.execute(text("SELECT 1"))
            in_use.set()
            await release.wait()
            await db.execute(text("SELECT 1"))

    user = asyncio.create_task(use())
    await in_use.wait()
    closing = asyncio.create_task(database.close())
    await asyncio.wait([closing], timeout=0.1)
    release.set()
    await asyncio.gather(user, closing)
    # A connection that comes back to a closed pool would stay open.
    assert (pool.checkedout(), pool.checkedin()) == (0, 0)


@pytest.mark.slow
async def test_closing_waits_for_a_read_that_was_cancelled_and_not_awaited(
    sqlite_url: str,
) -> None:
    for steps in range(40):
        database = Database(sqlite_url)
        pool = database.engine.pool
        assert isinstance(pool, QueuePool)

        async def use(database: Database) -> None:
            async with database.read() as db:
                await db.execute(text("SELECT 1"))

        user = asyncio.create_task(use(database))
        for _ in range(steps):
            await asyncio.sleep(0)
        user.cancel()
        await asyncio.sleep(0)
        await database.close()
        await asyncio.wait([user])
        assert (pool.checkedout(), pool.checkedin()) == (0, 0), steps


async def test_closing_does_not_wait_forever(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(database_module, "MAX_CLOSE_SECONDS", 0.05)
    database = Database(sqlite_url)
    async with database.read() as db:
        await db.execute(text("SELECT 1"))
        await database.close()
        await db.invalidate()
    assert caplog.messages == ["The database closes while 1 of its connections are in use"]


async def test_the_file_of_the_database_is_for_its_user_alone(tmp_path: Path) -> None:
    path = tmp_path / "home" / "assay.db"
    database = Database(f"sqlite:///{path}")
    await migrations.upgrade(database)
    await make_project(database)
    files = [path, *path.parent.glob("assay.db-*")]
    assert len(files) == 3
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    await database.close()


async def test_a_database_that_others_could_read_is_closed_to_them(sqlite_url: str) -> None:
    path = Path(sqlite_url.removeprefix("sqlite:///"))
    path.chmod(0o664)
    await Database(sqlite_url).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o660


@pytest.mark.parametrize(("given", "kept"), [(3, 3), (None, 20)])
async def test_a_process_keeps_as_many_connections_as_its_setting_says(
    tmp_path: Path, given: int | None, kept: int
) -> None:
    url = f"sqlite:///{tmp_path / 'assay.db'}"
    settings = Settings.model_validate({"database_url": url, "database_pool": given})
    async with open_database(settings) as database:
        pool = database.engine.pool
        assert isinstance(pool, QueuePool)
        assert pool.size() == kept


async def test_a_writer_that_is_cancelled_as_its_turn_comes_ends() -> None:
    """Else periodic work of a worker would go on, and the worker would never end."""
    for rounds in range(8):
        lock = asyncio.Lock()

        async def write(lock: asyncio.Lock = lock) -> None:
            await database_module._acquire(lock)
            await asyncio.Event().wait()

        writing = asyncio.create_task(write())
        for _ in range(rounds):
            await asyncio.sleep(0)
        writing.cancel()
        ended, _ = await asyncio.wait({writing}, timeout=1)
        assert ended, f"cancelled after {rounds} rounds of the loop"
