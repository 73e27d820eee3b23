"""The same POST sent twice opens one run."""

import asyncio
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import update

from core import clock
from core.db.tables import metadata
from tests.api.conftest import Service, running

RUNS = "/evaluations/trace-runs"


async def post(service: Service, key: str, path: str = RUNS, **body: Any) -> httpx.Response:
    sent = {"metrics": ["task_completion"]} | body
    return await service.client.post(path, json=sent, headers={"Idempotency-Key": key})


async def count(service: Service) -> int:
    total = (await service.client.get(RUNS)).json()["total"]
    assert isinstance(total, int)
    return total


async def test_the_first_response_is_answered_again(service: Service) -> None:
    await service.post_trace()
    service.runs.answers = running(total=1)
    first = await post(service, "k", name="n")
    service.runs.answers = running(total=1, evaluated=1)
    again = await post(service, "k", name="n")
    assert (first.status_code, again.status_code) == (202, 202)
    assert again.json() == first.json()
    assert await count(service) == 1


async def test_equal_bodies_may_be_written_differently(service: Service) -> None:
    await service.post_trace()
    first = await post(service, "k")
    again = await post(service, "k", sampling_rate=1, filters={}, model=None)
    assert again.json()["id"] == first.json()["id"]


async def test_another_body_or_path_under_the_key_is_409(service: Service) -> None:
    trace_id = await service.post_trace()
    await post(service, "k")
    assert (await post(service, "k", name="other")).status_code == 409
    answer = await post(service, "k", path=f"{RUNS}/batch", trace_ids=[trace_id])
    assert answer.status_code == 409
    assert "Idempotency-Key" in answer.json()["detail"]
    assert await count(service) == 1


async def test_the_first_response_stands_when_its_traces_are_gone(service: Service) -> None:
    await service.post_trace(session_id="s")
    filters = {"session_id": "s"}
    first = await post(service, "k", filters=filters)
    traces = metadata.tables["trace"]
    async with service.database.write() as db:
        await db.execute(update(traces).values(session_id=None))
    assert (await post(service, "k", filters=filters)).json() == first.json()


async def test_a_request_that_was_refused_uses_no_key(service: Service) -> None:
    assert (await post(service, "k")).status_code == 422
    await service.post_trace()
    assert (await post(service, "k")).status_code == 202


async def test_a_key_is_the_projects_own(service: Service) -> None:
    await service.post_trace()
    first = await post(service, "k")
    headers = {"X-API-Key": await service.key(), "X-Project-Name": "other"}
    service.client.headers.update(headers)
    await service.post_trace()
    second = await post(service, "k")
    assert second.status_code == 202
    assert second.json()["id"] != first.json()["id"]


async def test_after_a_day_the_key_is_free_again(service: Service) -> None:
    await service.post_trace()
    first = await post(service, "k")
    keys = metadata.tables["idempotency_key"]
    async with service.database.write() as db:
        await db.execute(update(keys).values(created_at=clock.now() - timedelta(hours=24)))
    second = await post(service, "k", name="another body")
    assert second.status_code == 202
    assert second.json()["id"] != first.json()["id"]


async def test_at_the_same_time_one_run_is_opened(service: Service) -> None:
    await service.post_trace()
    answers = await asyncio.gather(*(post(service, "k") for _ in range(10)))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert len(service.runs.started) == 1
    assert await count(service) == 1


async def test_a_second_request_is_answered_while_the_first_is(service: Service) -> None:
    await service.post_trace()
    first = await post(service, "k")
    keys = metadata.tables["idempotency_key"]
    async with service.database.write() as db:
        await db.execute(update(keys).values(response=None))
    again = await post(service, "k")
    assert again.status_code == 202
    assert again.json()["id"] == first.json()["id"]


@pytest.mark.parametrize("key", ["", "k" * 256])
async def test_a_bad_key_is_422(sqlite_service: Service, key: str) -> None:
    await sqlite_service.post_trace()
    assert (await post(sqlite_service, key)).status_code == 422
