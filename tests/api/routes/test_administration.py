"""Projects, API keys, usage and the audit log over HTTP."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest

from core import clock
from core.ids import ProjectId, Scope
from core.queries import (
    api_keys,
    open_runs,
    project_content,
    projects,
    run_rows,
)
from core.queries.api_keys import NewKey
from core.retention import RetentionKind
from tests.api.calls import admin
from tests.api.conftest import Service
from tests.factories import new_run


async def test_a_key_without_a_named_project_works_in_its_home(service: Service) -> None:
    headers = await admin(service)
    here = await service.post_trace()
    listed = await service.client.get("/traces", headers=headers)
    assert [one["trace_id"] for one in listed.json()["items"]] == [here]
    there = await service.client.get("/traces", headers=headers | {"X-Project-Name": "sdk"})
    assert (there.status_code, there.json()["total"]) == (200, 0)
    bound = await admin(service, bound=True)
    refused = await service.client.get("/traces", headers=bound | {"X-Project-Name": "sdk"})
    assert refused.status_code == 403


async def test_a_key_without_a_home_must_name_a_project(service: Service) -> None:
    headers = {"X-API-Key": await service.key()}
    refused = await service.client.get("/traces", headers=headers)
    assert refused.status_code == 422
    assert "X-Project-Name" in refused.json()["detail"]
    organization = headers | {"X-Project-Name": "default", "X-Organization-ID": str(uuid4())}
    assert (await service.client.get("/traces", headers=organization)).status_code == 200


async def test_projects_are_created_renamed_and_listed(service: Service) -> None:
    headers = await admin(service)
    body = {"name": "support", "description": "The support agent."}
    made = await service.client.post("/projects", json=body, headers=headers)
    assert made.status_code == 201, made.text
    project = made.json()
    assert (project["name"], project["status"], project["deleted_rows"]) == ("support", "ACTIVE", 0)
    taken = await service.client.post("/projects", json=body, headers=headers)
    assert taken.status_code == 409
    path = f"/projects/{project['id']}"
    await service.client.get("/traces", headers=headers | {"X-Project-Name": "support"})
    changed = await service.client.patch(path, json={"name": "help"}, headers=headers)
    assert (changed.json()["name"], changed.json()["description"]) == ("help", body["description"])
    cleared = await service.client.patch(
        path, json={"name": None, "description": None}, headers=headers
    )
    assert (cleared.json()["name"], cleared.json()["description"]) == ("help", None)
    listed = await service.client.get("/projects", headers=headers)
    assert [one["name"] for one in listed.json()["items"]] == ["default", "help"]
    by_name = await service.client.get("/traces", headers=headers | {"X-Project-Name": "help"})
    assert by_name.status_code == 200
    assert (await service.client.get("/projects", headers=headers)).json()["total"] == 2


async def test_a_project_sets_its_own_days_of_retention(service: Service) -> None:
    headers = await admin(service)
    project = f"/projects/{service.project_id}"
    columns = [f"retention_{kind}_days" for kind in RetentionKind]
    unset = (await service.client.get(project, headers=headers)).json()
    assert {unset[column] for column in columns} == {None}
    days = dict(zip(columns, (30, 0, 365, 36_500), strict=True))
    changed = await service.client.patch(project, json=days, headers=headers)
    assert {column: changed.json()[column] for column in columns} == days
    cleared = {"retention_traces_days": None}
    changed = await service.client.patch(project, json=cleared, headers=headers)
    assert {column: changed.json()[column] for column in columns} == days | cleared
    for wrong in (-1, 36_501, 1.5, "a month"):
        body = {"retention_traces_days": wrong}
        refused = await service.client.patch(project, json=body, headers=headers)
        assert refused.status_code == 422, wrong
    entries = (await service.client.get("/audit", headers=headers)).json()["items"]
    assert [entry["action"] for entry in entries[:2]] == ["update_project", "update_project"]


async def test_only_administrators_manage_and_bound_ones_only_their_project(
    service: Service,
) -> None:
    async with service.database.write() as db:
        other = await projects.ensure(db, "other")
    for path in ("/projects", "/api-keys", "/usage", "/audit"):
        assert (await service.client.get(path)).status_code == 403, path
    bound = await admin(service, bound=True)
    listed = await service.client.get("/projects", headers=bound)
    assert [one["id"] for one in listed.json()["items"]] == [str(service.project_id)]
    for method, path, body, status in [
        ("POST", "/projects", {"name": "new"}, 403),
        ("GET", f"/projects/{other}", None, 404),
        ("PATCH", f"/projects/{other}", {"name": "mine"}, 404),
        ("DELETE", f"/projects/{other}", None, 404),
        ("POST", "/api-keys", {"name": "k"}, 403),
        ("POST", "/api-keys", {"name": "k", "project_id": str(other)}, 403),
        ("POST", "/api-keys", {"name": "k", "project_id": str(service.project_id)}, 201),
        ("GET", f"/audit?project_id={other}", None, 403),
    ]:
        answer = await service.client.request(method, path, json=body, headers=bound)
        assert answer.status_code == status, (method, path, answer.text)


async def test_a_deleted_project_is_gone_at_once_and_its_rows_soon(service: Service) -> None:
    headers = await admin(service)
    key = {"X-API-Key": await service.key(scope=Scope.WRITE), "X-Project-Name": "doomed"}
    for n in range(3):
        answer = await service.client.post(
            "/traces", headers=key, json={"name": "t", "started_at": f"2026-09-0{n + 1}"}
        )
        assert answer.status_code == 202
    async with service.database.write() as db:
        doomed = await projects.find(db, "doomed")
        assert doomed is not None
        _, bound_key = await api_keys.create(db, NewKey("bound", project_id=doomed))
        run = await run_rows.create(db, new_run(doomed))
    path = f"/projects/{doomed}"
    answer = await service.client.delete(path, headers=headers)
    assert (answer.status_code, answer.json()["status"]) == (202, "DELETING")
    assert service.deletions.started == [doomed]
    again = await service.client.get("/traces", headers=key)
    assert again.json()["total"] == 0, "the name is free, and makes a new project"
    refused = await service.client.get("/traces", headers={"X-API-Key": bound_key})
    assert refused.status_code == 401
    by_id = await service.client.get("/traces", headers=headers | {"X-Project-ID": str(doomed)})
    assert by_id.status_code == 422
    async with service.database.read() as reader:
        assert not await open_runs.find_open(reader, ProjectId(doomed), run.id)
    while True:
        async with service.database.write() as db:
            if await project_content.delete_some(db, doomed, limit=2) == 0:
                break
    shown = (await service.client.get(path, headers=headers)).json()
    assert shown["deleted_rows"] >= 4
    async with service.database.write() as db:
        await projects.remove_empty(db, doomed)
    assert (await service.client.get(path, headers=headers)).status_code == 404


async def test_without_temporal_no_project_is_deleted(service: Service) -> None:
    headers = await admin(service)
    service.deletions.reachable = False
    path = f"/projects/{service.project_id}"
    assert (await service.client.delete(path, headers=headers)).status_code == 503
    shown = (await service.client.get(path, headers=headers)).json()
    assert shown["status"] == "ACTIVE"


async def works(service: Service, key: str) -> bool:
    answer = await service.client.get("/traces", headers={"X-API-Key": key})
    return answer.status_code == 200


async def test_a_key_is_shown_once_and_works_until_it_is_revoked(service: Service) -> None:
    headers = await admin(service)
    body = {"name": "ci", "scope": "read", "project_id": str(service.project_id)}
    made = await service.client.post("/api-keys", json=body, headers=headers)
    assert made.status_code == 201, made.text
    key = made.json()
    assert await works(service, key["key"])
    listed = (await service.client.get("/api-keys", headers=headers)).json()
    assert "key" not in listed["items"][0]
    shown = {name: value for name, value in key.items() if name != "key"}
    assert shown in listed["items"]
    for _ in range(2):
        answer = await service.client.delete(f"/api-keys/{key['id']}", headers=headers)
        assert answer.status_code == 204
    assert not await works(service, key["key"])
    unknown = await service.client.delete(f"/api-keys/{uuid4()}", headers=headers)
    assert unknown.status_code == 404


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": ""},
        {"name": " "},
        {"name": "bootstrap"},
        {"name": "\0"},
        {"scope": "root"},
        {"project_id": str(uuid4())},
        {"expires_at": "2020-01-01"},
        {"key": "chosen"},
    ],
)
async def test_a_bad_key_is_422(shared_service: Service, wrong: dict[str, Any]) -> None:
    headers = await admin(shared_service)
    answer = await shared_service.client.post(
        "/api-keys", json={"name": "k"} | wrong, headers=headers
    )
    assert answer.status_code == 422, answer.text


async def test_a_rotated_key_works_on_for_the_overlap(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    headers = await admin(service)
    body = {"name": "ci", "project_id": str(service.project_id), "scope": "read"}
    old = (await service.client.post("/api-keys", json=body, headers=headers)).json()
    path = f"/api-keys/{old['id']}/rotate"
    answer = await service.client.post(path, json={"overlap_seconds": 60}, headers=headers)
    assert answer.status_code == 201, answer.text
    new = answer.json()
    same = ("name", "scope", "project_id", "any_project", "expires_at")
    assert {name: new[name] for name in same} == {name: old[name] for name in same}
    assert await works(service, old["key"])
    assert await works(service, new["key"])
    now = clock.now() + timedelta(seconds=61)
    with monkeypatch.context() as later:
        later.setattr(clock, "now", lambda: now)
        assert not await works(service, old["key"])
        assert await works(service, new["key"])
        expired = await service.client.post(path, json={}, headers=headers)
        assert expired.status_code == 409
    at_once = f"/api-keys/{new['id']}/rotate"
    await service.client.post(at_once, json={}, headers=headers)
    assert not await works(service, new["key"])


async def test_the_audit_log_says_who_changed_what(service: Service) -> None:
    headers = await admin(service)
    made = await service.client.post("/projects", json={"name": "new"}, headers=headers)
    trace_id = await service.post_trace()
    await service.client.get(f"/traces/{trace_id}")
    await service.client.delete(f"/traces/{trace_id}", headers={"X-Request-ID": "mine"})
    await service.client.delete(f"/traces/{trace_id}")
    listed = await service.client.get("/audit", headers=headers)
    assert listed.status_code == 200, listed.text
    entries = listed.json()["items"]
    assert [(one["actor"], one["action"], one["target"]) for one in entries] == [
        ("test", "delete_trace", trace_id),
        ("root", "create_project", made.json()["id"]),
    ], "reads, ingestion and what failed leave no entry"
    assert entries[0]["request_id"] == "mine"
    assert entries[0]["project_id"] == str(service.project_id)
    other = await service.client.get("/audit", params={"project_id": str(uuid4())}, headers=headers)
    assert other.json()["items"] == []


async def test_a_change_stands_though_its_entry_cannot_be_written(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object) -> None:
        raise ConnectionRefusedError

    monkeypatch.setattr("core.queries.audit.record", away)
    trace_id = await service.post_trace()
    answer: httpx.Response = await service.client.delete(f"/traces/{trace_id}")
    assert answer.status_code == 204
