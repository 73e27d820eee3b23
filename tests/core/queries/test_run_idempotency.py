"""Idempotency keys in the database."""

from uuid import uuid4

import pytest

from core.db.database import Database
from core.errors import Conflict
from core.ids import ProjectId, RunId
from core.queries import run_idempotency
from core.queries.run_idempotency import IdempotentRequest
from tests.conftest import make_project


def request(project_id: ProjectId, key: str, body: object = None) -> IdempotentRequest:
    return IdempotentRequest.of(project_id, key, path="/runs", body=body)


async def test_a_response_is_kept_for_its_own_request_only(sqlite: Database) -> None:
    project_id = await make_project(sqlite)
    other = await make_project(sqlite, "other")
    requests = [request(owner, key) for owner in (project_id, other) for key in ("a", "b", "c")]
    async with sqlite.write() as db:
        for one in requests:
            assert await run_idempotency.claim(db, one, RunId(uuid4()))
        await run_idempotency.keep_response(db, requests[1], {"id": "b"})
    async with sqlite.read() as db:
        found = [await run_idempotency.find(db, one) for one in requests]
    kept = [one and one.response for one in found]
    assert kept == [None, {"id": "b"}, None, None, None, None]


async def test_a_key_belongs_to_the_first_request(sqlite: Database) -> None:
    project_id = await make_project(sqlite)
    run_id = RunId(uuid4())
    async with sqlite.write() as db:
        assert await run_idempotency.claim(db, request(project_id, "k"), run_id)
        assert not await run_idempotency.claim(db, request(project_id, "k"), RunId(uuid4()))
    async with sqlite.read() as db:
        found = await run_idempotency.find(db, request(project_id, "k"))
        assert found is not None
        assert found.run_id == run_id
        with pytest.raises(Conflict):
            await run_idempotency.find(db, request(project_id, "k", {"other": 1}))
