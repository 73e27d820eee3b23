"""Reading the rows of runs for everybody who asks at the same moment."""

import asyncio
from uuid import uuid4

import pytest

from api.rows import RunRows
from core.database import Database
from core.errors import NotFound
from core.ids import ProjectId, TargetType
from core.queries import runs
from tests.conftest import make_project
from tests.factories import new_run


async def test_who_asks_at_the_same_moment_shares_a_transaction_and_sees_only_his_project(
    database: Database, project_id: ProjectId, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = await make_project(database, "other")
    async with database.write() as db:
        mine, theirs = [
            (await runs.create(db, new_run(project))).id for project in (project_id, other)
        ]
    reads = 0
    read = database.read

    def counted_read() -> object:
        nonlocal reads
        reads += 1
        return read()

    monkeypatch.setattr(database, "read", counted_read)
    rows = RunRows(database)
    found = await asyncio.gather(
        *(rows.find(project_id, mine) for _ in range(50)),
        rows.find(other, theirs),
        rows.find(project_id, theirs),
        rows.find(project_id, uuid4()),
    )
    assert [row and row.id for row in found] == [*[mine] * 50, theirs, None, None]
    assert reads <= 2
    with pytest.raises(NotFound):
        await rows.get(project_id, mine, TargetType.SESSION)


async def test_a_row_is_read_after_it_was_asked_for(
    database: Database, project_id: ProjectId
) -> None:
    rows = RunRows(database)
    async with database.write() as db:
        run = await runs.create(db, new_run(project_id))
    assert (await rows.get(project_id, run.id, TargetType.TRACE)).cancel_requested_at is None
    async with database.write() as db:
        await runs.request_cancel(db, project_id, run.id)
    assert (await rows.get(project_id, run.id, TargetType.TRACE)).cancel_requested_at is not None
