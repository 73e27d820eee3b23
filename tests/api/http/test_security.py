"""Every endpoint with every kind of key, and isolation between projects."""

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from core import clock
from core.ids import ProjectId, RunStatus, Scope
from core.queries import api_keys, projects, run_rows, trace_reads
from core.queries.api_keys import NewKey
from core.queries.run_pairs import record
from core.trace_input import TraceBody
from tests.api.conftest import Service, provider, recorded_document
from tests.factories import new_run, new_score, span_body, store, trace_body

OPEN = {"/health", "/ready", "/metrics"}
FOREIGN_SPAN = str(uuid4())

Json = dict[str, Any]


def operations() -> Iterator[tuple[str, str, Json]]:
    for path, methods in recorded_document()["paths"].items():
        for method, operation in methods.items():
            if path not in OPEN:
                yield method.upper(), path, operation


OPERATIONS = list(operations())
NAMES = [f"{method} {path}" for method, path, _ in OPERATIONS]
ANY_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
READING_POSTS = {"/evaluations/trace-runs/estimate"}
"""Operations with another method than GET that a reader may use."""
FOR_ADMINISTRATORS = ("/projects", "/api-keys", "/usage", "/audit")


def filled(path: str, ids: dict[str, str] | None = None) -> str:
    """The path with its parameters filled in; a missing id becomes an unknown one."""
    known = {"file_format": "jsonl"} | (ids or {})
    return re.sub(r"{(\w+)}", lambda place: known.get(place[1], str(uuid4())), path)


async def status(service: Service, method: str, path: str, **headers: str) -> int:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    body: Json | None = None if method in ("GET", "DELETE") else {}
    answer = await service.client.request(method, path, headers=named, json=body)
    return answer.status_code


async def unusable_keys(service: Service) -> dict[str, str]:
    async with service.database.write() as db:
        row, revoked = await api_keys.create(db, NewKey("r", Scope.ADMIN, service.project_id))
        await api_keys.revoke(db, row.id)
    past = clock.now() - timedelta(seconds=1)
    expired = await service.key(scope=Scope.ADMIN, project_id=service.project_id, expires_at=past)
    return {"none": "", "wrong": "assay_wrong", "revoked": revoked, "expired": expired}


@pytest.mark.parametrize(("method", "path", "_operation"), OPERATIONS, ids=NAMES)
async def test_no_endpoint_answers_without_a_usable_key(
    shared_service: Service, method: str, path: str, _operation: Json
) -> None:
    for kind, key in (await unusable_keys(shared_service)).items():
        for header in ({"Authorization": f"Bearer {key}"}, {"X_API_Key": key}):
            headers = {"Authorization": ""} | header
            found = await status(shared_service, method, filled(path), **headers)
            assert found == 401, (kind, header)


@pytest.mark.parametrize(("method", "path", "_operation"), OPERATIONS, ids=NAMES)
async def test_a_bound_key_opens_no_other_project_through_any_endpoint(
    shared_service: Service, method: str, path: str, _operation: Json
) -> None:
    async with shared_service.database.write() as db:
        other = await projects.ensure(db, "other")
    for headers in ({"X_Project_ID": str(other)}, {"X_Project_Name": "other"}):
        assert await status(shared_service, method, filled(path), **headers) == 403, headers


@pytest.mark.parametrize(("method", "path", "_operation"), OPERATIONS, ids=NAMES)
async def test_a_read_key_changes_nothing_through_any_endpoint(
    shared_service: Service, method: str, path: str, _operation: Json
) -> None:
    key = await shared_service.key(scope=Scope.READ, project_id=shared_service.project_id)
    found = await status(shared_service, method, filled(path), X_API_Key=key)
    reads = method == "GET" or path in READING_POSTS
    assert (found == 403) == (not reads or path.startswith(FOR_ADMINISTRATORS)), found


async def foreign_rows(service: Service) -> tuple[ProjectId, dict[str, str]]:
    """A trace with a span, a run and a score in another project."""
    async with service.database.write() as db:
        other = await projects.ensure(db, "other")
        body = trace_body(spans=[span_body(span_id=FOREIGN_SPAN)], user_id="theirs", tags=["t"])
        trace_id = await store(db, other, TraceBody.model_validate(body))
        run = await run_rows.create(db, new_run(other))
        run.status = RunStatus.COMPLETED
        await record(db, [new_score(run, str(trace_id))])
        run_id = run.id
    ids = {"trace_id": str(trace_id), "run_id": str(run_id), "span_id": FOREIGN_SPAN}
    return other, ids | {"id": str(trace_id)}


@pytest.mark.parametrize(
    ("method", "path", "_operation"),
    [one for one in OPERATIONS if "{" in one[1]],
    ids=[name for name in NAMES if "{" in name],
)
async def test_a_row_of_another_project_answers_as_one_that_is_nowhere(
    sqlite_service: Service, method: str, path: str, _operation: Json
) -> None:
    _, ids = await foreign_rows(sqlite_service)
    body = [span_body()] if path.endswith("/spans") else {}
    answers = []
    for one in (filled(path, ids), filled(path)):
        answer = await sqlite_service.client.request(
            method, one, json=None if method in ("GET", "DELETE") else body
        )
        answers.append((answer.status_code, ANY_UUID.sub("…", answer.text)))
    assert answers[0] == answers[1]
    if "{trace_id}" in path or "{run_id}" in path:
        assert answers[0][0] == 404


async def test_nothing_of_another_project_is_read_changed_merged_into_or_inferred(
    service: Service,
) -> None:
    other, ids = await foreign_rows(service)
    await service.publish(provider())
    client, trace_id = service.client, ids["trace_id"]
    for path in ("/traces", "/evaluations/trace-scores", "/evaluations/trace-runs"):
        assert (await client.get(path)).json()["total"] == 0, path
    assert (await client.get("/traces/users")).json()["total"] == 0
    assert (await client.get("/evaluations/analytics/trace-scores/summary")).json() == []

    async with service.database.read() as db:
        before = await trace_reads.get(db, other, UUID(trace_id))
    for path in ("/traces/batch/delete", "/traces/batch/tags"):
        answer = await client.post(path, json={"trace_ids": [trace_id], "add_tags": ["mine"]})
        answer = (
            answer
            if answer.status_code == 200
            else await client.post(path, json={"trace_ids": [trace_id]})
        )
        assert set(answer.json().values()) == {0}, answer.text
    score = {"trace_id": trace_id, "name": "n", "value": "1"}
    assert (await client.post("/evaluations/trace-scores", json=score)).status_code == 404
    run = {"trace_ids": [trace_id], "metrics": ["task_completion"]}
    assert (await client.post("/evaluations/trace-runs/batch", json=run)).status_code == 422

    await service.post_trace(
        trace_id=trace_id, name="mine", spans=[span_body(span_id=FOREIGN_SPAN, name="mine")]
    )
    mine = (await client.get(f"/traces/{trace_id}")).json()
    assert (mine["name"], mine["tags"], mine["user_id"]) == ("mine", [], None)
    assert (await client.delete(f"/traces/{trace_id}")).status_code == 204
    async with service.database.read() as db:
        after = await trace_reads.get(db, other, UUID(trace_id))
    assert after == before


async def test_wildcards_quotes_and_paths_are_ordinary_characters(service: Service) -> None:
    odd = ["100%", "a_b", "back\\slash", "it's", '"quoted"', "$.a[0]", "'; DROP TABLE trace; --"]
    for text in odd:
        await service.post_trace(name=text, session_id=text, user_id=text, tags=[text])
    for text in odd:
        for field in ("name", "session_id", "user_id", "tags"):
            found = await service.client.get("/traces", params={field: text})
            assert [one["name"] for one in found.json()["items"]] == [text], (field, text)
    for text in ("%", "_", "a%b", "\\"):
        found = await service.client.get("/traces", params={"name": text})
        assert all(text in one["name"] for one in found.json()["items"]), text
    assert (await service.client.get("/traces", params={"name": "a%"})).json()["total"] == 0


@pytest.mark.parametrize(
    "params",
    [
        {"offset": "-1"},
        {"offset": str(10**30)},
        {"offset": "1e3"},
        {"limit": "0"},
        {"limit": "-5"},
        {"limit": str(2**63)},
        {"limit": "9" * 5000},
        {"started_after": "0" * 9000},
        {"sort_by": "name; DROP TABLE trace"},
        {"sort_by": "metadata"},
        {"tags": "a\0b"},
        {"no_such_filter": "x"},
    ],
)
async def test_numbers_out_of_range_and_foreign_fields_are_422(
    shared_service: Service, params: dict[str, str]
) -> None:
    answer = await shared_service.client.get("/traces", params=params)
    assert answer.status_code == 422, answer.text


async def test_a_million_tags_are_refused(shared_service: Service) -> None:
    million = [str(n) for n in range(10**6)]
    body = trace_body(tags=million)
    answer = await shared_service.client.post("/traces", json=body)
    assert answer.status_code in (413, 422)
    run = {"metrics": ["task_completion"], "filters": {"tags": million}}
    answer = await shared_service.client.post("/evaluations/trace-runs", json=run)
    assert answer.status_code in (413, 422)
    many = "&".join(f"tags={n}" for n in range(2000))
    assert (await shared_service.client.get(f"/traces?{many}")).status_code == 422


async def test_unicode_is_kept_in_the_form_it_came_in(service: Service) -> None:
    composed, decomposed = "caf\u00e9", "cafe\u0301"
    for text in (composed, decomposed):
        await service.post_trace(name=text, session_id=text, tags=[text])
    for text in (composed, decomposed):
        for field in ("session_id", "tags", "name"):
            found = await service.client.get("/traces", params={field: text})
            assert [one["name"] for one in found.json()["items"]] == [text], field


@pytest.mark.parametrize("header", ["X-Request-ID", "X-Project-Name", "Idempotency-Key"])
async def test_headers_cannot_be_injected(shared_service: Service, header: str) -> None:
    for value in (b"a\r\nX-Evil: 1", b"a\nSet-Cookie: b=c", b"\x00", b"\xff" * 200):
        answer = await shared_service.client.get("/traces", headers={header.encode(): value})
        assert answer.status_code in (200, 403, 422)
        assert "X-Evil" not in answer.headers
        assert "Set-Cookie" not in answer.headers
        assert answer.headers["X-Request-ID"].isprintable()
        assert "\n" not in answer.headers["X-Request-ID"]


async def test_keys_are_in_no_answer_and_no_log_line(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    key = await service.key(project_id=service.project_id)
    with caplog.at_level("DEBUG", logger="api"):
        for headers in ({"X-API-Key": key}, {"X-API-Key": f"{key}x"}):
            for path in (f"/traces?key={key}", f"/traces/{key}", "/nowhere"):
                answer = await service.client.get(path, headers=headers)
                assert key not in answer.text
    assert key not in caplog.text.replace(f"/traces/{key}", "")
