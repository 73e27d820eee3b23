import asyncio

from activities.remembering import Judgements
from core.database import Database
from core.ids import ProjectId
from evals.memory import StoredJudgement
from tests.conftest import make_project


async def test_an_answer_waits_for_a_store_that_is_full(sqlite: Database) -> None:
    project_id = ProjectId(await make_project(sqlite))
    kept = Judgements(sqlite).of(project_id)
    async with sqlite.write() as db:
        connection = await db.connection()
        pages = (await connection.exec_driver_sql("PRAGMA page_count")).scalar_one()
        await connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
    answer = StoredJudgement({"reason": "x" * 100_000})
    keeping = asyncio.create_task(kept.put("key", answer))
    await asyncio.sleep(1)
    assert not keeping.done()
    async with sqlite.write() as db:
        connection = await db.connection()
        await connection.exec_driver_sql(f"PRAGMA max_page_count = {2**30}")
    await keeping
    assert await kept.get("key") == answer
