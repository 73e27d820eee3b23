"""Analytics over HTTP: shapes, parameters, isolation of projects."""

from datetime import timedelta
from typing import Any

import pytest

from tests.api.conftest import Service
from tests.api.routes.test_scores import a_score, store
from tests.factories import START, span_body

SCORES = "/evaluations/analytics/trace-scores"
PATHS = [
    "/traces/users",
    *(f"/traces/analytics?metric={m}" for m in ("volume", "errors", "latency")),
    *(f"/traces/analytics?metric={m}" for m in ("cost", "tokens", "models")),
    f"{SCORES}/summary",
    f"{SCORES}/trend",
    f"{SCORES}/distribution?metric_name=task_completion",
]


async def get(service: Service, path: str, **query: Any) -> Any:
    answer = await service.client.get(path, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def fill(service: Service) -> None:
    await service.post_trace(
        user_id="u",
        status="ERROR",
        spans=[
            span_body(
                model="m", token_usage={"prompt_tokens": 2, "completion_tokens": 3}, cost=0.25
            )
        ],
    )
    await store(service, a_score(service.project_id, value="0.5", number=0.5))


async def test_score_figures_have_the_fields_of_the_contract(service: Service) -> None:
    await fill(service)
    assert await get(service, f"{SCORES}/summary") == [
        {
            "metric_name": "task_completion",
            "avg_score": 0.5,
            "min_score": 0.5,
            "max_score": 0.5,
            "median_score": 0.5,
            "success_count": 1,
            "failed_count": 0,
            "latest_score_at": "2026-09-01T09:00:00Z",
            "interval": None,
        }
    ]
    # A single score has no interval.
    point = {"metric_name": "task_completion", "avg_score": 0.5, "count": 1, "interval": None}
    for granularity, bucket in (
        ("hour", "2026-09-01T09:00:00Z"),
        ("day", "2026-09-01T00:00:00Z"),
        ("week", "2026-08-31T00:00:00Z"),
    ):
        found = await get(
            service, f"{SCORES}/trend", metric_name="task_completion", granularity=granularity
        )
        assert found == [point | {"bucket": bucket}]
    assert await get(service, f"{SCORES}/trend") == [point | {"bucket": "2026-09-01T00:00:00Z"}]
    spread = await get(service, f"{SCORES}/distribution", metric_name="task_completion", buckets=2)
    assert spread == [
        {"bucket": 1, "bucket_min": 0, "bucket_max": 0.5, "count": 0},
        {"bucket": 2, "bucket_min": 0.5, "bucket_max": 1, "count": 1},
    ]
    assert len(await get(service, f"{SCORES}/distribution", metric_name="none")) == 10


async def test_score_figures_are_of_the_times_asked_for(service: Service) -> None:
    await fill(service)
    later = {"date_from": (START + timedelta(seconds=1)).isoformat()}
    exactly = {"date_from": START.isoformat(), "date_to": later["date_from"]}
    for name in ("summary", "trend"):
        assert await get(service, f"{SCORES}/{name}", **later) == []
        assert len(await get(service, f"{SCORES}/{name}", **exactly)) == 1
    one = {"metric_name": "task_completion", "buckets": 1}
    for period, count in ((later, 0), (exactly, 1)):
        [bucket] = await get(service, f"{SCORES}/distribution", **one, **period)
        assert bucket["count"] == count


async def test_trace_figures_have_the_fields_of_the_contract(service: Service) -> None:
    await fill(service)
    traffic = {
        "bucket": "2026-09-01T00:00:00Z",
        "trace_count": 1,
        "error_count": 1,
        "avg_latency_ms": 3000,
        "p50_latency_ms": 3000,
        "p90_latency_ms": 3000,
        "p99_latency_ms": 3000,
    }
    for metric in ("volume", "errors", "latency"):
        assert await get(service, "/traces/analytics", metric=metric) == [traffic]
    spend = {"total_tokens": 5, "prompt_tokens": 2, "completion_tokens": 3, "total_cost": 0.25}
    for metric in ("cost", "tokens"):
        found = await get(service, "/traces/analytics", metric=metric, granularity="hour")
        assert found == [spend | {"bucket": "2026-09-01T09:00:00Z"}]
    models = await get(service, "/traces/analytics", metric="models")
    assert models == [{"model": "m", "call_count": 1, "total_tokens": 5, "total_cost": 0.25}]
    later = (START + timedelta(hours=1)).isoformat()
    for metric in ("volume", "cost", "models"):
        assert await get(service, "/traces/analytics", metric=metric, started_after=later) == []
        before = await get(service, "/traces/analytics", metric=metric, started_before=later)
        assert len(before) == 1
    moment = "2026-09-01T09:00:00Z"
    user = {"trace_count": 1, "first_seen": moment, "last_seen": moment, "error_count": 1}
    assert await get(service, "/traces/users", limit=1) == {
        "items": [user | {"user_id": "u"}],
        "total": 1,
        "limit": 1,
        "offset": 0,
    }


@pytest.mark.parametrize("path", PATHS)
async def test_figures_are_of_one_project_only(service: Service, path: str) -> None:
    await fill(service)
    theirs = {"X-API-Key": await service.key(), "X-Project-Name": "theirs"}
    found = (await service.client.get(path, headers=theirs)).json()
    rows = found["items"] if isinstance(found, dict) else found
    assert [row for row in rows if row.get("count", 1)] == []


@pytest.mark.parametrize(
    "path",
    [
        "/traces/users?limit=0",
        "/traces/users?limit=201",
        "/traces/users?offset=-1",
        "/traces/users?sort_by=name",
        "/traces/analytics?metric=speed",
        "/traces/analytics?metric=",
        "/traces/analytics?granularity=month",
        "/traces/analytics?started_after=now",
        "/traces/analytics?started_after=2026-09-02&started_before=2026-09-01",
        "/traces/analytics?date_from=2026-09-02",
        f"{SCORES}/summary?date_from=x",
        f"{SCORES}/summary?date_from=2026-09-01&date_to=2026-09-01",
        f"{SCORES}/summary?metric_name=a",
        f"{SCORES}/trend?granularity=year",
        f"{SCORES}/trend?metric_name=",
        f"{SCORES}/trend?metric_name=%00",
        f"{SCORES}/trend?date_from=2026-09-02&date_to=2026-09-01",
        f"{SCORES}/distribution",
        f"{SCORES}/distribution?metric_name=a&buckets=0",
        f"{SCORES}/distribution?metric_name=a&buckets=101",
        f"{SCORES}/distribution?metric_name=a&buckets=ten",
        f"{SCORES}/distribution?metric_name={'n' * 256}",
        f"{SCORES}/totals",
    ],
)
async def test_bad_parameters_are_refused(shared_service: Service, path: str) -> None:
    answer = await shared_service.client.get(path)
    assert answer.status_code == (404 if path.endswith("totals") else 422), answer.text
