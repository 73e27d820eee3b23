"""What has been paid for is known at once, and is not lost while the store is away."""

from collections.abc import Sequence
from uuid import uuid4

import pytest
from sqlalchemy import func, select

from activities.ledger import Ledger
from core.database import Database
from core.ids import ProjectId
from core.queries import judgements
from core.queries.judgements import KeptJudgement
from core.tables import metadata


def judgement(project_id: ProjectId, key: str) -> KeptJudgement:
    return KeptJudgement(
        project_id=project_id,
        key=key,
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
    async with Ledger(database) as ledger:
        made = judgement(project_id, "one")
        ledger.keep_judgement(made)
        assert await ledger.find_judgement(project_id, "one") == made
    assert await stored(database) == 1
    assert await Ledger(database).find_judgement(project_id, "one") == made
    assert await Ledger(database).find_judgement(ProjectId(uuid4()), "one") is None


async def test_a_judgement_outlives_a_store_that_is_away(
    database: Database, project_id: ProjectId, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object) -> None:
        raise ConnectionRefusedError

    ledger, made = Ledger(database), judgement(project_id, "one")
    with monkeypatch.context() as patched:
        patched.setattr(judgements, "record", away)
        async with ledger:
            ledger.keep_judgement(made)
    assert await stored(database) == 0
    async with ledger:
        assert await ledger.find_judgement(project_id, "one") == made
    assert await stored(database) == 1


async def test_judgements_go_into_the_store_together(
    database: Database, project_id: ProjectId, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches: list[int] = []
    record = judgements.record

    async def counted(db: object, made: Sequence[KeptJudgement]) -> None:
        batches.append(len(made))
        await record(db, made)  # type: ignore[arg-type]  # whatever came in

    monkeypatch.setattr(judgements, "record", counted)
    async with Ledger(database) as ledger:
        for number in range(20):
            ledger.keep_judgement(judgement(project_id, str(number)))
    assert await stored(database) == 20
    assert len(batches) <= 2
