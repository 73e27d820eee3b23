"""Totals of lists: small ones exact, large ones remembered for a while."""

import asyncio
import time

import pytest
from sqlalchemy import func, select
from sqlmodel import col

from core.database import Database
from core.ids import ProjectId
from core.queries import totals
from core.tables import Trace
from tests.conftest import make_project
from tests.factories import store_traces


async def count(database: Database, project_id: ProjectId, large: int) -> int:
    query = select(func.count()).select_from(Trace).where(col(Trace.project_id) == project_id)
    async with database.read() as db:
        return await totals.count(db, query, large=large)


async def test_a_small_total_is_counted_each_time(
    database: Database, project_id: ProjectId
) -> None:
    for stored in range(1, 4):
        await store_traces(database, project_id, 1)
        assert await count(database, project_id, large=4) == stored


async def test_a_large_total_is_remembered_for_a_while_and_then_counted_again(
    database: Database, project_id: ProjectId, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store_traces(database, project_id, 2)
    monkeypatch.setattr(totals, "_REMEMBERED_TIMES_AS_LONG", 10**6)
    monkeypatch.setattr(totals, "_MOST_SECONDS", 1.0)
    assert await count(database, project_id, large=1) == 2
    counted_at = time.monotonic()
    other = await make_project(database, "other")
    assert await count(database, other, large=1) == 0, "another list has its own total"
    await store_traces(database, project_id, 1)
    while await count(database, project_id, large=1) == 2:
        await asyncio.sleep(0.02)
    assert time.monotonic() - counted_at >= 0.9
    assert await count(database, project_id, large=1) == 3
