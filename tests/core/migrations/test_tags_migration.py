"""The migration gives stored tags the start of their trace."""

from datetime import datetime, timedelta

from sqlalchemy import delete, select

from core import migrations
from core.db.database import Database
from core.db.tables import metadata
from core.ids import ProjectId
from tests.factories import START, store_traces

TAG, TRACE = metadata.tables["trace_tag"], metadata.tables["trace"]


async def tags(database: Database) -> set[tuple[object, str, datetime]]:
    async with database.read() as db:
        found = await db.execute(select(TAG.c.trace_id, TAG.c.tag, TAG.c.started_at))
    return {(row.trace_id, row.tag, row.started_at) for row in found}


async def test_tags_that_are_stored_get_the_time_of_their_trace(
    database: Database, project_id: ProjectId
) -> None:
    ids = await store_traces(database, project_id, 3, tags=["a", "b"])
    await migrations.downgrade(database, "0005")
    await migrations.upgrade(database)
    assert await tags(database) == {
        (trace_id, tag, START + timedelta(seconds=n))
        for n, trace_id in enumerate(ids)
        for tag in ("a", "b")
    }


async def test_tags_still_go_with_their_trace_after_it(
    database: Database, project_id: ProjectId
) -> None:
    gone, kept = await store_traces(database, project_id, 2, tags=["a"])
    await migrations.downgrade(database, "0005")
    await migrations.upgrade(database)
    async with database.write() as db:
        await db.execute(delete(TRACE).where(TRACE.c.id == gone))
    assert {trace_id for trace_id, *_ in await tags(database)} == {kept}
