"""Conventions of all endpoints: query parameters, errors, times, headers."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import httpx
import pytest

from api.app import create_app
from core.ids import Scope
from core.settings import Settings
from tests.api.conftest import Service, recorded_document

SOME_ID = UUID(int=7)


def get_paths() -> list[str]:
    """Every GET endpoint of the API, with ids filled in."""
    described = recorded_document()["paths"]
    return [_filled(path) for path, operations in described.items() if "get" in operations]


def _filled(path: str) -> str:
    return "".join(_values(path.replace("{file_format}", "jsonl")))


def _values(path: str) -> Iterator[str]:
    before, brace, rest = path.partition("{")
    yield before
    if brace:
        _, _, after = rest.partition("}")
        yield str(SOME_ID)
        yield from _values(after)


@pytest.mark.parametrize("path", get_paths())
async def test_a_misspelt_parameter_is_422_everywhere(shared_service: Service, path: str) -> None:
    key = await shared_service.key(scope=Scope.ADMIN, project_id=shared_service.project_id)
    headers = {"X-API-Key": key}
    answer = await shared_service.client.get(path, params={"lmit": 1}, headers=headers)
    assert answer.status_code == 422, answer.text
    [problem] = [one for one in answer.json()["detail"] if one["loc"] == ["query", "lmit"]]
    assert problem["type"] == "extra_forbidden"
    assert {"field": "lmit", "message": problem["msg"]} in answer.json()["errors"]


@pytest.mark.parametrize("path", ["/traces", "/sessions", "/health", "/evaluations/trace-runs"])
async def test_parameters_that_begin_with_an_underscore_are_ignored(
    shared_service: Service, path: str
) -> None:
    for query in ("_=1753", "_t=a&limit=5" if path != "/health" else "_t=a", "%5Fcache=x"):
        answer = await shared_service.client.get(f"{path}?{query}")
        assert answer.status_code == 200, (query, answer.text)


async def test_a_misspelt_parameter_of_a_change_changes_nothing(service: Service) -> None:
    trace_id = await service.post_trace()
    path = f"/traces/{trace_id}"
    assert (await service.client.delete(f"{path}?dry_run=1")).status_code == 422
    assert (await service.client.get(path)).status_code == 200


async def test_an_unknown_key_is_401_whatever_the_parameters(shared_service: Service) -> None:
    wrong = {"X-API-Key": "wrong"}
    answer = await shared_service.client.get("/traces?lmit=1", headers=wrong)
    assert answer.status_code == 401


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", f"/traces/{SOME_ID}", None, 404),
        ("POST", "/evaluations/trace-runs", {"metrics": ["nonsense"]}, 422),
        ("GET", "/nowhere", None, 404),
    ],
)
async def test_a_refusal_in_one_sentence_has_it_in_errors_too(
    shared_service: Service, method: str, path: str, body: Any, status: int
) -> None:
    answer: httpx.Response = await shared_service.client.request(method, path, json=body)
    assert answer.status_code == status
    if path != "/nowhere":
        detail = answer.json()["detail"]
        assert answer.json()["errors"] == [{"field": None, "message": detail}]


async def test_refused_fields_are_in_errors_by_their_path(shared_service: Service) -> None:
    body = {"metrics": [], "filters": {"tags": [1]}}
    answer = await shared_service.client.post("/evaluations/trace-runs", json=body)
    problems = {one["field"]: one["message"] for one in answer.json()["errors"]}
    assert problems.keys() == {"metrics", "filters.tags.0"}


@pytest.mark.parametrize(
    "moment",
    [
        "2026-09-01T11:00:00 02:00",
        "2026-09-01T11:00:00.000 0200",
        "2026-09-01 11:00:00 02:00",
        "2026-09-01T11:00:00+02:00",
        "2026-09-01T05:00:00-04:00",
        "2026-09-01 09:00",
        "2026-09-01T09:00:00Z",
    ],
)
async def test_a_plus_that_arrived_as_a_space_is_understood(service: Service, moment: str) -> None:
    await service.post_trace(started_at="2026-09-01T09:00:00Z", ended_at=None)
    found = await service.client.get("/traces", params={"started_after": moment})
    assert found.json()["total"] == 1, found.text
    none = await service.client.get("/traces", params={"started_before": moment})
    assert none.json()["total"] == 0
    raw = moment.replace(" ", "%20") if "+" not in moment else moment
    unescaped = await service.client.get(f"/traces?started_after={raw}")
    assert unescaped.json()["total"] == 1


async def test_health_names_the_version(shared_service: Service) -> None:
    health = (await shared_service.client.get("/health")).json()
    assert health["status"] == "ok"
    assert health["version"].count(".") == 2


async def test_pages_from_elsewhere_may_send_the_organization(settings: Settings) -> None:
    allowed = settings.model_copy(update={"cors_origins": "https://ui.example"})
    app = create_app(allowed)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        answer = await client.options(
            "/traces",
            headers={
                "Origin": "https://ui.example",
                "Access-Control-Request-Method": "GET",
                "Access-Control-Request-Headers": "X-Organization-ID, X-Project-ID",
            },
        )
    assert answer.status_code == 200, answer.text
    assert "x-organization-id" in answer.headers["access-control-allow-headers"].lower()
