"""Paid answers can be found at once, and are not lost while the store is unavailable."""

from collections.abc import Mapping
from uuid import uuid4

import pytest
from sqlalchemy import func, select

from activities.judging.write_buffer import WriteBuffer
from core.db.database import Database
from core.db.tables import metadata
from core.ids import ProjectId
from core.judgement import StoredJudgement
from core.queries import judgements
from core.queries.judgements import JudgementKey


def judgement() -> StoredJudgement:
    return StoredJudgement(
        model="openai/gpt-4o-mini",
        answer={"task": "order a pizza"},
        prompt_tokens=10,
        completion_tokens=2,
        cost_usd=None,
    )


async def stored(database: Database) -> int:
    async with database.read() as db:
        found = await db.execute(select(func.count()).select_from(metadata.tables["judgement"]))
        return int(found.scalar_one())


async def test_a_judgement_is_found_before_it_is_written_and_written_before_the_end(
    database: Database, project_id: ProjectId
) -> None:
    async with WriteBuffer(database) as ledger:
        made = judgement()
        ledger.keep_judgement((project_id, "one"), made)
        assert await ledger.find_judgement((project_id, "one")) == made
    assert await stored(database) == 1
    assert await WriteBuffer(database).find_judgement((project_id, "one")) == made
    assert await WriteBuffer(database).find_judgement((ProjectId(uuid4()), "one")) is None


async def test_a_judgement_outlives_a_store_that_is_away(
    database: Database, project_id: ProjectId, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object) -> None:
        raise ConnectionRefusedError

    ledger, made = WriteBuffer(database), judgement()
    with monkeypatch.context() as patched:
        patched.setattr(judgements, "record", away)
        async with ledger:
            ledger.keep_judgement((project_id, "one"), made)
    assert await stored(database) == 0
    async with ledger:
        assert await ledger.find_judgement((project_id, "one")) == made
    assert await stored(database) == 1


async def test_judgements_go_into_the_store_together(
    database: Database, project_id: ProjectId, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches: list[int] = []
    record = judgements.record

    async def counted(db: object, made: Mapping[JudgementKey, StoredJudgement]) -> None:
        batches.append(len(made))
        await record(db, made)  # type: ignore[arg-type]  # whatever came in

    monkeypatch.setattr(judgements, "record", counted)
    async with WriteBuffer(database) as ledger:
        for number in range(20):
            ledger.keep_judgement((project_id, str(number)), judgement())
    assert await stored(database) == 20
    assert len(batches) <= 2


async def test_only_the_newest_unwritten_judgements_are_kept_while_the_store_is_away(
    database: Database, project_id: ProjectId, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object) -> None:
        raise ConnectionRefusedError

    monkeypatch.setattr("activities.judging.write_buffer.MAX_UNWRITTEN", 2)
    monkeypatch.setattr(judgements, "record", away)
    async with WriteBuffer(database) as ledger:
        for key in ("one", "two", "three"):
            ledger.keep_judgement((project_id, key), judgement())
        assert await ledger.find_judgement((project_id, "one")) is None
        assert await ledger.find_judgement((project_id, "three")) is not None
