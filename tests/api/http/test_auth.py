"""The rights of keys, per project."""

import asyncio
import re
from collections.abc import Collection
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from api.http import auth
from core import clock
from core.db.database import Reader
from core.ids import Scope
from core.queries import api_keys, projects
from tests.api.conftest import Service
from tests.factories import trace_body

OPEN = ["/health", "/ready", "/metrics", "/docs", "/openapi.json"]


async def test_only_operations_and_docs_are_open(sqlite_service: Service) -> None:
    anonymous = {"Authorization": ""}
    for path in OPEN:
        answer = await sqlite_service.client.get(path, headers=anonymous)
        assert answer.status_code == 200, path
    described = (await sqlite_service.client.get("/openapi.json")).json()
    for path, methods in described["paths"].items():
        if path in OPEN:
            continue
        for method in methods:
            concrete = re.sub(r"{\w+}", str(uuid4()), path)
            answer = await sqlite_service.client.request(
                method, concrete, headers=anonymous, json=None if method == "get" else {}
            )
            assert answer.status_code == 401, (method, path)


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": ""},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer "},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Basic dXNlcjpwYXNz"},
        {"Authorization": "Bearer ключ".encode()},
        {"X-API-Key": "wrong"},
    ],
)
async def test_without_a_usable_key_the_answer_is_401(
    shared_service: Service, headers: dict[str, str]
) -> None:
    answer = await shared_service.client.get("/traces", headers=headers)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert "API key" in answer.json()["detail"]


async def test_x_api_key_is_accepted_and_wins(service: Service) -> None:
    key = await service.key(project_id=service.project_id)
    for headers in ({"Authorization": ""}, {"Authorization": "Bearer wrong"}):
        answer = await service.client.get("/traces", headers=headers | {"X-API-Key": key})
        assert answer.status_code == 200


async def test_an_expired_key_opens_nothing(service: Service) -> None:
    for moment, status in ((clock.now() + timedelta(minutes=1), 200), (clock.now(), 401)):
        key = await service.key(project_id=service.project_id, expires_at=moment)
        answer = await service.client.get("/traces", headers={"X-API-Key": key})
        assert answer.status_code == status


async def test_a_revoked_key_opens_nothing_from_the_next_request_on(service: Service) -> None:
    async with service.database.write() as db:
        row, text = await api_keys.create(db, api_keys.NewKey("k", project_id=service.project_id))
    headers = {"X-API-Key": text}
    assert (await service.client.get("/traces", headers=headers)).status_code == 200
    async with service.database.write() as db:
        await api_keys.revoke(db, row.id)
    assert (await service.client.get("/traces", headers=headers)).status_code == 401


async def test_requests_that_come_at_the_same_time_share_a_look_up(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    find_usable, asked = api_keys.find_usable, []

    async def seen(db: Reader, texts: Collection[str]) -> dict[str, api_keys.UsableKey]:
        asked.append(set(texts))
        return await find_usable(db, texts)

    monkeypatch.setattr(api_keys, "find_usable", seen)
    good, other = [await service.key(project_id=service.project_id) for _ in range(2)]
    sent = [good] * 8 + [other, "assay_wrong"]
    answers = await asyncio.gather(
        *(service.client.get("/traces", headers={"X-API-Key": key}) for key in sent)
    )
    assert [answer.status_code for answer in answers] == [200] * 9 + [401]
    assert set().union(*asked) == set(sent)
    assert len(asked) < len(sent)


async def test_a_project_that_was_named_before_opens_to_no_other_key(service: Service) -> None:
    roamer = {"X-API-Key": await service.key()}
    for named in ({"X-Project-Name": "theirs"}, {"X-Project-Name": "theirs"}):
        assert (await service.client.get("/traces", headers=roamer | named)).status_code == 200
    bound = {"X-API-Key": await service.key(project_id=service.project_id)}
    theirs = bound | {"X-Project-Name": "theirs"}
    assert (await service.client.get("/traces", headers=theirs)).status_code == 403
    reader = {"X-API-Key": await service.key(scope=Scope.READ)} | {"X-Project-Name": "theirs"}
    assert (await service.client.get("/traces", headers=reader)).status_code == 200
    assert (await service.client.delete(f"/traces/{uuid4()}", headers=reader)).status_code == 403


async def test_only_hashes_of_keys_are_stored(service: Service) -> None:
    text = await service.key(name="mine")
    async with service.database.read() as db:
        row = next(row for row in await api_keys.every(db) if row.name == "mine")
    assert text not in repr(row)
    assert text.startswith(row.prefix)
    assert len(row.prefix) < len(text) / 2


async def test_scopes_include_the_ones_before_them(service: Service) -> None:
    for scope, status in ((Scope.READ, 403), (Scope.WRITE, 202), (Scope.ADMIN, 202)):
        key = await service.key(scope=scope, project_id=service.project_id)
        headers = {"X-API-Key": key}
        assert (await service.client.get("/traces", headers=headers)).status_code == 200
        answer = await service.client.post("/traces", headers=headers, json=trace_body())
        assert answer.status_code == status
    assert (
        "write"
        in (
            await service.client.post(
                "/traces",
                headers={
                    "X-API-Key": await service.key(scope=Scope.READ, project_id=service.project_id)
                },
                json=trace_body(),
            )
        ).json()["detail"]
    )


async def test_a_bound_key_may_name_its_own_project_and_no_other(service: Service) -> None:
    async with service.database.write() as db:
        other = await projects.ensure(db, "other")
    for headers, status in (
        ({"X-Project-ID": str(service.project_id)}, 200),
        ({"X-Project-Name": "default"}, 200),
        ({"X-Project-ID": str(other)}, 403),
        ({"X-Project-ID": str(uuid4())}, 403),
        ({"X-Project-Name": "other"}, 403),
        ({"X-Project-Name": "never heard of"}, 403),
        ({"X-Project-ID": str(service.project_id), "X-Project-Name": "other"}, 403),
    ):
        assert (await service.client.get("/traces", headers=headers)).status_code == status, headers
    async with service.database.read() as db:
        assert await projects.find(db, "never heard of") is None


async def test_an_unbound_key_names_its_project(service: Service) -> None:
    key = {"X-API-Key": await service.key()}
    refused = await service.client.get("/traces", headers=key)
    assert refused.status_code == 422
    assert "X-Project-ID" in refused.json()["detail"]
    assert "X-Project-Name" in refused.json()["detail"]

    by_name: dict[str, Any] = key | {"X-Project-Name": "Größe".encode()}
    body = trace_body()
    assert (await service.client.post("/traces", headers=by_name, json=body)).status_code == 202
    async with service.database.read() as db:
        made = await projects.find(db, "Größe")
    by_id = key | {"X-Project-ID": str(made)}
    answer = await service.client.get(f"/traces/{body['trace_id']}", headers=by_id)
    assert answer.status_code == 200

    unknown = key | {"X-Project-ID": str(uuid4())}
    assert (await service.client.get("/traces", headers=unknown)).status_code == 422
    contradicting = by_id | {"X-Project-Name": "default"}
    assert (await service.client.get("/traces", headers=contradicting)).status_code == 422


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Project-ID": "nonsense"},
        {"X-Project-Name": ""},
        {"X-Project-Name": "n" * 129},
        {"X-Project-Name": b"nul\0"},
        {"X-Project-Name": b"\xff\xfe"},
        {"X-Project-Name": b"\xed\xa0\x80"},
        {"X-Project-Name": "a\tb"},
    ],
)
async def test_bad_project_headers_are_422(
    shared_service: Service, headers: dict[str, str]
) -> None:
    key = await shared_service.key()
    answer = await shared_service.client.get("/traces", headers=headers | {"X-API-Key": key})
    assert answer.status_code == 422


async def test_a_read_key_makes_no_project(service: Service) -> None:
    key = await service.key(scope=Scope.READ)
    headers = {"X-API-Key": key, "X-Project-Name": "new"}
    assert (await service.client.get("/traces", headers=headers)).status_code == 403
    async with service.database.read() as db:
        assert await projects.find(db, "new") is None


async def test_a_key_chosen_at_start_is_made_once_and_stays_revoked(service: Service) -> None:
    new = api_keys.NewKey("bootstrap", project_id=service.project_id)
    headers = {"X-API-Key": "chosen-by-somebody"}
    for _ in range(2):
        async with service.database.write() as db:
            await api_keys.ensure(db, new, "chosen-by-somebody")
    assert (await service.client.get("/traces", headers=headers)).status_code == 200
    async with service.database.write() as db:
        [row] = [row for row in await api_keys.every(db) if row.name == "bootstrap"]
        await api_keys.revoke(db, row.id)
        await api_keys.ensure(db, new, "chosen-by-somebody")
    assert (await service.client.get("/traces", headers=headers)).status_code == 401


async def test_only_so_many_projects_are_remembered_and_each_for_a_moment(
    sqlite_service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = sqlite_service.database
    monkeypatch.setattr(auth, "MAX_CACHED_PROJECTS", 3)
    known = auth._Projects(database)
    for number in range(5):
        project_id = await known.make(f"p{number}")
        assert await known.name_of(project_id) == f"p{number}"
        assert await known.find(f"p{number}") == project_id
    assert len(known._names) == len(known._ids) == 3
    async with database.write() as db:
        await projects.change(db, project_id, {"name": "renamed"})
    known.forget()
    assert await known.name_of(project_id) == "renamed"
    assert await known.find("p4") is None
    assert auth.MAX_CACHE_SECONDS <= 1
