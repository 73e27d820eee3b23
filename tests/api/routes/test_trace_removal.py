"""Deletion and batch tagging of traces over HTTP, never of another project's traces."""

from typing import Any
from uuid import uuid4

import pytest

from tests.api.calls import SCORES, add_score, foreign, held, rows
from tests.api.conftest import Service
from tests.factories import span_body


async def test_a_deleted_trace_takes_spans_tags_and_scores_along(service: Service) -> None:
    doomed = await service.post_trace(tags=["a", "b"])
    kept = await service.post_trace(tags=["a"])
    for trace_id in (doomed, kept):
        await add_score(service, trace_id)
    answer = await service.client.delete(f"/traces/{doomed}")
    assert (answer.status_code, answer.content) == (204, b"")
    assert (await service.client.get(f"/traces/{doomed}")).status_code == 404
    assert (await service.client.delete(f"/traces/{doomed}")).status_code == 404
    assert (await held(service, kept))["tags"] == ["a"]
    for table in ("trace", "span", "trace_tag", "score"):
        assert await rows(service, table) == 1, table


async def test_many_traces_are_deleted_at_once(service: Service) -> None:
    ids = [await service.post_trace(tags=["a"]) for _ in range(3)]
    for trace_id in ids:
        await add_score(service, trace_id)
    wanted = [ids[0], ids[0].upper(), ids[1], str(uuid4())]
    answer = await service.client.post("/traces/batch/delete", json={"trace_ids": wanted})
    assert (answer.status_code, answer.json()) == (200, {"deleted": 2})
    listed = (await service.client.get("/traces")).json()["items"]
    assert [item["trace_id"] for item in listed] == [ids[2]]
    for table in ("span", "trace_tag", "score"):
        assert await rows(service, table) == 1, table


async def test_many_traces_are_tagged_at_once(service: Service) -> None:
    ids = [await service.post_trace(tags=["old", "kept"]) for _ in range(3)]
    body = {
        "trace_ids": [*ids[:2], ids[0], str(uuid4())],
        "add_tags": ["new", "kept", "new"],
        "remove_tags": ["old", "never there"],
    }
    answer = await service.client.post("/traces/batch/tags", json=body)
    assert (answer.status_code, answer.json()) == (200, {"updated": 2})
    tags = [(await held(service, trace_id))["tags"] for trace_id in ids]
    assert tags == [["kept", "new"], ["kept", "new"], ["kept", "old"]]
    nothing = await service.client.post("/traces/batch/tags", json={"trace_ids": ids})
    assert nothing.json() == {"updated": 3}


@pytest.mark.parametrize("action", ["delete", "tags"])
@pytest.mark.parametrize(
    "body",
    [
        {},
        {"trace_ids": []},
        {"trace_ids": None},
        {"trace_ids": ["x"]},
        {"trace_ids": [str(uuid4()) for _ in range(501)]},
        {"trace_ids": [str(uuid4())], "force": True},
        [],
    ],
)
async def test_a_bad_batch_is_422(shared_service: Service, action: str, body: Any) -> None:
    answer = await shared_service.client.post(f"/traces/batch/{action}", json=body)
    assert answer.status_code == 422, answer.text


@pytest.mark.parametrize(
    "tags",
    [
        {"add_tags": [""]},
        {"add_tags": ["t" * 256]},
        {"add_tags": ["\0"]},
        {"add_tags": [f"t{n}" for n in range(101)]},
        {"remove_tags": "t"},
        {"remove_tags": None},
        {"add_tags": ["a", "b"], "remove_tags": ["b"]},
    ],
)
async def test_bad_tags_for_many_traces_are_422(
    shared_service: Service, tags: dict[str, Any]
) -> None:
    trace_id = await shared_service.post_trace()
    answer = await shared_service.client.post(
        "/traces/batch/tags", json={"trace_ids": [trace_id], **tags}
    )
    assert answer.status_code == 422, answer.text


async def test_a_full_batch_is_accepted(service: Service) -> None:
    trace_id = await service.post_trace()
    ids = [trace_id, *(str(uuid4()) for _ in range(499))]
    tags = {"trace_ids": ids, "add_tags": [f"t{n}" for n in range(100)]}
    assert (await service.client.post("/traces/batch/tags", json=tags)).json() == {"updated": 1}
    deleted = await service.client.post("/traces/batch/delete", json={"trace_ids": ids})
    assert deleted.json() == {"deleted": 1}


async def test_a_trace_of_another_project_can_not_be_changed(service: Service) -> None:
    span = span_body()
    trace_id = await service.post_trace(spans=[span], tags=["t"])
    score_id = await add_score(service, trace_id)
    before = await held(service, trace_id)
    theirs = await foreign(service)
    for method, path, body in [
        ("PATCH", f"/traces/{trace_id}", {"name": "stolen"}),
        ("DELETE", f"/traces/{trace_id}", None),
        ("POST", f"/traces/{trace_id}/spans", [span_body()]),
        ("PATCH", f"/traces/{trace_id}/spans/{span['span_id']}", {"name": "stolen"}),
        ("POST", SCORES, {"trace_id": trace_id, "name": "n", "value": "1"}),
        ("PATCH", f"{SCORES}/{score_id}", {"value": "1"}),
        ("DELETE", f"{SCORES}/{score_id}", None),
    ]:
        answer = await service.client.request(method, path, json=body, headers=theirs)
        assert answer.status_code == 404, path
    batch = {"trace_ids": [trace_id]}
    answer = await service.client.post("/traces/batch/delete", json=batch, headers=theirs)
    assert answer.json() == {"deleted": 0}
    answer = await service.client.post(
        "/traces/batch/tags", json=batch | {"add_tags": ["x"]}, headers=theirs
    )
    assert answer.json() == {"updated": 0}
    assert await held(service, trace_id) == before
    assert await rows(service, "score") == 1
