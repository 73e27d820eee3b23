"""Totals of lists: small ones are exact, large ones are remembered for a while."""

from typing import Any

import pytest
from sqlalchemy import Select, func, select
from sqlmodel import col

from core.db.database import Database, Reader
from core.db.tables import Trace
from core.db.totals import Totals
from core.ids import ProjectId
from tests.conftest import make_project
from tests.factories import store_traces


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def traces_of(project_id: ProjectId) -> Select[int]:
    return select(func.count()).select_from(Trace).where(col(Trace.project_id) == project_id)


async def count(database: Database, project_id: ProjectId, large: int) -> int:
    async with database.read() as db:
        return await db.totals.count(db, traces_of(project_id), large=large)


async def test_a_small_total_is_counted_each_time(
    database: Database, project_id: ProjectId
) -> None:
    for stored in range(1, 4):
        await store_traces(database, project_id, 1)
        assert await count(database, project_id, large=4) == stored


async def test_each_list_and_each_database_has_its_own_totals(
    database: Database, project_id: ProjectId, sqlite_url: str
) -> None:
    await store_traces(database, project_id, 2)
    assert await count(database, project_id, large=1) == 2
    assert await count(database, await make_project(database, "other"), large=0) == 0
    another = Database(sqlite_url)
    assert another.totals is not database.totals
    await another.close()


@pytest.mark.parametrize(
    ("counting_seconds", "remembered_seconds"), [(0.01, 1.0), (0.2, 20.0), (5.0, 30.0)]
)
async def test_a_large_total_is_remembered_a_hundred_times_as_long_as_counting_took(
    sqlite: Database,
    counting_seconds: float,
    remembered_seconds: float,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    project_id = await make_project(sqlite)
    await store_traces(sqlite, project_id, 2)
    clock = Clock()
    known = Totals(timer=clock)

    async def total() -> int:
        async with sqlite.read() as db:
            ask = db.scalar

            async def slow(query: Any) -> Any:
                clock.now += counting_seconds
                return await ask(query)

            monkeypatch.setattr(db, "scalar", slow)
            return await known.count(db, traces_of(project_id), large=2)

    assert await total() == 2
    counted_at = clock.now
    await store_traces(sqlite, project_id, 1)
    clock.now = counted_at + remembered_seconds * 0.99
    assert await total() == 2
    clock.now = counted_at + remembered_seconds * 1.01
    assert await total() == 3


async def test_only_so_many_totals_are_remembered(
    sqlite: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()

    async def one(*_: object) -> int:
        clock.now += 0.02
        return 1

    monkeypatch.setattr(Reader, "scalar", one)
    known = Totals(timer=clock, max_remembered=10)
    async with sqlite.read() as db:
        for number in range(30):
            query = select(func.count()).where(col(Trace.span_count) == number)
            await known.count(db, query, large=1)
    assert len(known) == 10
