"""Retries of earlier releases listed every id in their row."""

from core import migrations
from core.db.database import Database
from core.ids import ProjectId
from core.queries import run_rows
from tests.factories import new_run


async def test_a_retry_keeps_which_run_it_repeats_and_no_ids(
    database: Database, project_id: ProjectId
) -> None:
    named = {"trace_ids": [f"{n}" for n in range(300)]}
    async with database.write() as db:
        retry = await run_rows.create(db, new_run(project_id, filters={"retry_of": "r"} | named))
        other = await run_rows.create(db, new_run(project_id, filters=named))
    await migrations.downgrade(database, "0024")
    await migrations.upgrade(database)
    async with database.read() as db:
        assert (await run_rows.get(db, project_id, retry.id)).filters == {"retry_of": "r"}
        assert (await run_rows.get(db, project_id, other.id)).filters == named
