"""Signal weights move out of the filters; keys without a project may name any."""

from sqlalchemy import select, update

from core import migrations
from core.db.database import Database
from core.db.tables import metadata
from core.ids import ProjectId, TargetType
from core.queries import api_keys, run_rows
from core.queries.api_keys import NewKey
from tests.factories import new_run

RUN, KEY = metadata.tables["eval_run"], metadata.tables["api_key"]
WEIGHTS = {"coherence": 0.5}


async def test_weights_move_between_the_filters_and_their_column(
    database: Database, project_id: ProjectId
) -> None:
    filters = {"tags": ["a"]}
    spec = {"target_type": TargetType.SESSION, "signal_weights": WEIGHTS, "filters": filters}
    async with database.write() as db:
        weighted = await run_rows.create(db, new_run(project_id, **spec))
        await run_rows.create(db, new_run(project_id, filters=filters))
    await migrations.downgrade(database, "0015")
    async with database.read() as reader:
        found = await reader.execute(select(RUN.c.id, RUN.c.filters))
        kept = {row.id: row.filters for row in found}
    assert kept.pop(weighted.id) == filters | {"signal_weights": WEIGHTS}
    assert list(kept.values()) == [filters]
    await migrations.upgrade(database)
    async with database.read() as reader:
        found = await reader.execute(select(RUN.c.id, RUN.c.filters, RUN.c.signal_weights))
        moved = {row.id: (row.filters, row.signal_weights) for row in found}
    assert moved.pop(weighted.id) == (filters, WEIGHTS)
    assert list(moved.values()) == [(filters, None)]


async def test_a_key_without_a_project_may_name_any_afterwards(
    database: Database, project_id: ProjectId
) -> None:
    async with database.write() as db:
        roaming, _ = await api_keys.create(db, NewKey("roaming"))
        await api_keys.create(db, NewKey("bound", project_id=project_id))
        await db.execute(update(KEY).values(any_project=False))
    await migrations.downgrade(database, "0012")
    await migrations.upgrade(database)
    async with database.read() as reader:
        found = await reader.execute(select(KEY.c.id, KEY.c.any_project))
        assert {row.id for row in found if row.any_project} == {roaming.id}
