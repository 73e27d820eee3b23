"""Deleting traces while others write."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import func, select, text

from core.db import paging
from core.db.database import Database, Writer
from core.db.tables import metadata
from core.ids import ProjectId, ScoreSource, ScoreType, TargetType
from core.queries import (
    run_pairs,
    run_rows,
    score_annotations,
    session_reads,
    trace_edits,
    usage,
)
from core.queries.score_annotations import Annotation
from core.queries.usage import UsageGrouping
from core.usage import Usage
from tests.conftest import make_project
from tests.factories import new_run, new_score, store_traces

Remove = Callable[[Writer, ProjectId, UUID], Coroutine[Any, Any, int]]


async def remove_trace(db: Writer, project_id: ProjectId, trace_id: UUID) -> int:
    return await trace_edits.remove(db, project_id, [trace_id])


async def remove_session(db: Writer, project_id: ProjectId, _: UUID) -> int:
    return await session_reads.remove(db, project_id, "s")


@pytest.fixture
async def postgres_database(postgres_url: str) -> AsyncIterator[Database]:
    made = Database(postgres_url)
    yield made
    await made.close()


@pytest.mark.parametrize("remove", [remove_trace, remove_session])
async def test_a_score_added_during_a_deletion_goes_with_its_trace(
    postgres_database: Database, remove: Remove
) -> None:
    database = postgres_database
    project_id = await make_project(database)
    [trace_id] = await store_traces(database, project_id, 1, session_id="s")

    async def delete() -> int:
        async with database.write() as db:
            return await remove(db, project_id, trace_id)

    async with database.write() as db:
        annotation = Annotation("quality", "1", ScoreType.NUMERIC, ScoreSource.ANNOTATION, None, {})
        await score_annotations.add_to_trace(db, project_id, trace_id, annotation)
        deletion = asyncio.create_task(delete())
        await until_somebody_waits(database)
    assert await deletion == 1
    assert await count(database, "trace") == 0
    assert await count(database, "score") == 0


async def test_the_usage_of_a_score_that_two_deletions_take_counts_once(
    postgres_database: Database,
) -> None:
    database = postgres_database
    project_id = await make_project(database)
    [trace_id] = await store_traces(database, project_id, 1)
    async with database.write() as db:
        run = await run_rows.create(db, new_run(project_id))
        spent = Usage(calls=1, prompt_tokens=10, cost_usd=0.5)
        await run_pairs.record(db, [new_score(run, str(trace_id), usage=spent)])

    async def delete_trace() -> None:
        async with database.write() as db:
            await remove_trace(db, project_id, trace_id)

    async with database.write() as db:
        await run_rows.remove(db, project_id, run.id, delete_scores=True)
        deletion = asyncio.create_task(delete_trace())
        await until_somebody_waits(database)
    await deletion
    async with database.read() as reader:
        [found] = await usage.grouped(
            reader, project_id, UsageGrouping.METRIC, start=None, end=None
        )
    assert (found.judge_calls, found.cost_usd) == (1, 0.5)


JUDGED = [(TargetType.TRACE, remove_trace), (TargetType.SESSION, remove_session)]


@pytest.mark.parametrize(("target_type", "remove"), JUDGED)
async def test_a_target_deleted_while_it_is_judged_gets_no_score(
    database: Database, project_id: ProjectId, target_type: TargetType, remove: Remove
) -> None:
    [trace_id] = await store_traces(database, project_id, 1, session_id="s")
    target = "s" if target_type is TargetType.SESSION else str(trace_id)
    async with database.write() as db:
        run = await run_rows.create(db, new_run(project_id, target_type=target_type))
    async with database.write() as db:
        await remove(db, project_id, trace_id)
    async with database.write() as db:
        score = new_score(run, target, of_existing=True)
        assert await run_pairs.record(db, [score]) == {run.id}
    assert await count(database, "score") == 0


@pytest.mark.parametrize(("target_type", "remove"), JUDGED)
async def test_a_score_written_during_a_deletion_goes_with_its_target(
    postgres_database: Database, target_type: TargetType, remove: Remove
) -> None:
    database = postgres_database
    project_id = await make_project(database)
    [trace_id] = await store_traces(database, project_id, 1, session_id="s")
    target = "s" if target_type is TargetType.SESSION else str(trace_id)
    async with database.write() as db:
        run = await run_rows.create(db, new_run(project_id, target_type=target_type))

    async def delete() -> int:
        async with database.write() as db:
            return await remove(db, project_id, trace_id)

    async with database.write() as db:
        await run_pairs.record(db, [new_score(run, target, of_existing=True)])
        deletion = asyncio.create_task(delete())
        await until_somebody_waits(database)
    assert await deletion == 1
    assert await count(database, "score") == 0


async def test_a_session_that_lost_its_first_trace_keeps_its_score(
    database: Database, project_id: ProjectId
) -> None:
    first, _ = await store_traces(database, project_id, 2, session_id="s")
    async with database.write() as db:
        run = await run_rows.create(db, new_run(project_id, target_type=TargetType.SESSION))
        await trace_edits.remove(db, project_id, [first])
    async with database.write() as db:
        await run_pairs.record(db, [new_score(run, "s", of_existing=True)])
    assert await count(database, "score") == 1


async def until_somebody_waits(database: Database) -> None:
    async with asyncio.timeout(10):
        while True:
            async with database.read_autocommit() as db:
                if await db.scalar(text("SELECT count(*) FROM pg_locks WHERE NOT granted")):
                    return
            await asyncio.sleep(0.01)


async def count(database: Database, table: str) -> int:
    async with database.read() as db:
        return await db.scalar(select(func.count()).select_from(metadata.tables[table])) or 0


async def test_deleting_a_session_deletes_all_its_traces_and_scores_in_chunks(
    database: Database, project_id: ProjectId, monkeypatch: pytest.MonkeyPatch
) -> None:
    def pairs(items: Sequence[Any], _size: int = 0) -> list[Sequence[Any]]:
        return [items[start : start + 2] for start in range(0, len(items), 2)]

    monkeypatch.setattr(paging, "chunks", pairs)
    await store_traces(database, project_id, 5, session_id="s")
    [kept] = await store_traces(database, project_id, 1, session_id="other")
    async with database.write() as db:
        assert await session_reads.remove(db, project_id, "s") == 5
    async with database.read() as reader:
        left = await reader.scalars(select(metadata.tables["trace"].c.id))
        assert list(left) == [kept]
