"""Reading run rows for concurrent clients."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest

from core.db.database import Database
from core.errors import NotFound
from core.ids import ProjectId, TargetType
from core.queries import run_rows
from core.queries.run_reader import RunReader
from tests.conftest import make_project
from tests.factories import new_run


async def test_concurrent_reads_share_a_query_and_each_sees_its_own_project(
    database: Database, project_id: ProjectId, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = await make_project(database, "other")
    async with database.write() as db:
        mine, theirs = [
            (await run_rows.create(db, new_run(project))).id for project in (project_id, other)
        ]
    reads = 0
    read = database.read_at_once

    def counted_read(*asked: Any, **options: Any) -> object:
        nonlocal reads
        reads += 1
        return read(*asked, **options)

    monkeypatch.setattr(database, "read_at_once", counted_read)
    rows = RunReader(database)
    found = await asyncio.gather(
        *(rows.find(project_id, mine) for _ in range(50)),
        rows.find(other, theirs),
        rows.find(project_id, theirs),
        rows.find(project_id, uuid4()),
    )
    assert [row and row.id for row in found] == [*[mine] * 50, theirs, None, None]
    assert 1 <= reads <= 2
    with pytest.raises(NotFound):
        await rows.get(project_id, mine, TargetType.SESSION)


async def test_a_row_is_read_after_it_was_asked_for(
    database: Database, project_id: ProjectId
) -> None:
    rows = RunReader(database)
    async with database.write() as db:
        run = await run_rows.create(db, new_run(project_id))
    assert (await rows.get(project_id, run.id, TargetType.TRACE)).cancel_requested_at is None
    async with database.write() as db:
        await run_rows.request_cancel(db, project_id, run.id)
    assert (await rows.get(project_id, run.id, TargetType.TRACE)).cancel_requested_at is not None
