"""Only one worker at a time asks a question."""

from datetime import timedelta
from uuid import uuid4

import pytest

from core import clock
from core.db.database import Database
from core.ids import ProjectId
from core.judgement import CLAIM_SECONDS
from core.queries import judgement_claims
from core.queries.judgements import JudgementKey

PROJECT = ProjectId(uuid4())
KEYS: list[JudgementKey] = [(PROJECT, name) for name in ("a", "b", "c")]


async def claimed(database: Database, owner: str, *keys: JudgementKey) -> set[JudgementKey]:
    async with database.write() as db:
        return await judgement_claims.claim(db, owner, keys)


async def released(database: Database, owner: str, *keys: JudgementKey) -> None:
    async with database.write() as db:
        await judgement_claims.release(db, owner, keys)


async def test_the_first_to_claim_a_question_asks_it_and_keeps_it(database: Database) -> None:
    assert await claimed(database, "one", *KEYS[:2]) == set(KEYS[:2])
    assert await claimed(database, "two", *KEYS) == {KEYS[2]}
    assert await claimed(database, "one", *KEYS[:2]) == set(KEYS[:2])


async def test_a_released_question_is_free_and_only_its_owner_releases_it(
    database: Database,
) -> None:
    await claimed(database, "one", KEYS[0])
    await released(database, "two", KEYS[0])
    assert await claimed(database, "two", KEYS[0]) == set()
    await released(database, "one", KEYS[0])
    assert await claimed(database, "two", KEYS[0]) == {KEYS[0]}


async def test_a_claim_that_is_not_renewed_ends(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await claimed(database, "one", KEYS[0], KEYS[1])
    now = clock.now()
    monkeypatch.setattr(clock, "now", lambda: now + timedelta(seconds=CLAIM_SECONDS * 0.7))
    await claimed(database, "one", KEYS[0])
    monkeypatch.setattr(clock, "now", lambda: now + timedelta(seconds=CLAIM_SECONDS * 1.4))
    assert await claimed(database, "two", KEYS[0], KEYS[1]) == {KEYS[1]}


async def test_projects_do_not_share_claims(database: Database) -> None:
    await claimed(database, "one", KEYS[0])
    other = (ProjectId(uuid4()), "a")
    assert await claimed(database, "two", other) == {other}
