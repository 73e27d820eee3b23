"""Following a run by server-sent events."""

import asyncio
import json
import time
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise
from typing import Any
from uuid import UUID

import pytest

from api.http import key_watch
from api.runs import sse
from core.ids import Scope
from core.queries import api_keys
from core.queries.api_keys import NewKey
from tests.api.conftest import Service, running
from tests.factories import end_run

RUNS = "/evaluations/trace-runs"


@dataclass
class Event:
    name: str
    id: str
    data: dict[str, Any]


def parse(text: str) -> list[Event]:
    found = []
    for block in text.strip().split("\n\n"):
        if block.startswith(":"):
            continue
        fields = dict(line.split(": ", 1) for line in block.split("\n"))
        found.append(Event(fields["event"], fields["id"], json.loads(fields["data"])))
    return found


@pytest.fixture
async def run_id(service: Service) -> str:
    await service.post_trace()
    answer = await service.client.post(RUNS, json={"metrics": ["task_completion"]})
    run_id = answer.json()["id"]
    assert isinstance(run_id, str)
    return run_id


async def end(service: Service, run_id: str) -> None:
    await end_run(service.database, service.project_id, UUID(run_id))


async def follow(service: Service, run_id: str, last_event_id: str | None = None) -> list[Event]:
    headers = {} if last_event_id is None else {"Last-Event-ID": last_event_id}
    answer = await service.client.get(f"{RUNS}/{run_id}/events", headers=headers)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/event-stream")
    return parse(answer.text)


async def test_each_change_is_told_once_then_done(service: Service, run_id: str) -> None:
    steps = [running(9, n // 3) for n in range(9)]
    asked: list[float] = []
    told_all = asyncio.Event()

    def step() -> None:
        asked.append(time.monotonic())
        if len(asked) == len(steps):
            told_all.set()
        service.runs.answers = steps[min(len(asked), len(steps)) - 1]

    service.runs.on_progress = step
    following = asyncio.create_task(follow(service, run_id))
    await told_all.wait()
    await end(service, run_id)
    told = await following
    assert [event.name for event in told] == ["progress"] * 4 + ["done"]
    assert [event.data["evaluated_count"] for event in told[:3]] == [0, 1, 2]
    assert told[-1].data["status"] == told[-2].data["status"] == "COMPLETED"
    assert len({event.id for event in told}) == len(told)
    between = [late - early for early, late in pairwise(asked)]
    assert min(between) >= 0.19, "more than five reads, and so events, a second"


async def test_a_run_that_is_over_is_told_at_once(service: Service, run_id: str) -> None:
    await end(service, run_id)
    told = await follow(service, run_id)
    assert [event.name for event in told] == ["progress", "done"]
    assert told[0].data == told[1].data


async def test_a_resumed_stream_repeats_nothing(service: Service, run_id: str) -> None:
    await end(service, run_id)
    first = await follow(service, run_id)
    assert [e.name for e in await follow(service, run_id, first[0].id)] == ["done"]
    assert [e.name for e in await follow(service, run_id, "of another time")] == [
        "progress",
        "done",
    ]


async def test_a_run_deleted_meanwhile_ends_its_stream(service: Service, run_id: str) -> None:
    service.runs.answers = running()
    following = asyncio.create_task(follow(service, run_id))
    await asyncio.sleep(0.1)
    assert (await service.client.delete(f"{RUNS}/{run_id}")).status_code == 204
    told = await following
    assert [event.name for event in told] == ["progress", "done"]


async def test_silence_is_broken_by_a_comment(
    service: Service, run_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sse, "_BETWEEN_SIGNS_OF_LIFE", 0.0)
    service.runs.answers = running()
    asyncio.get_running_loop().call_later(
        0.5, lambda: asyncio.ensure_future(end(service, run_id)).add_done_callback(id)
    )
    answer = await service.client.get(f"{RUNS}/{run_id}/events")
    assert ": still here\n\n" in answer.text
    assert [event.name for event in parse(answer.text)] == ["progress", "progress", "done"]


async def test_a_stream_ends_with_its_key(
    sqlite_service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_watch, "CHECK_SECONDS", 0.0)
    service = sqlite_service
    await service.post_trace()
    made = await service.client.post(RUNS, json={"metrics": ["task_completion"]})
    service.runs.answers = running()
    async with service.database.write() as db:
        row, key = await api_keys.create(db, NewKey("reader", Scope.READ, service.project_id))
    asked = asyncio.Event()
    service.runs.on_progress = asked.set
    headers = {"Authorization": f"Bearer {key}"}
    path = f"{RUNS}/{made.json()['id']}/events"
    following = asyncio.create_task(service.client.get(path, headers=headers))
    await asked.wait()
    async with service.database.write() as db:
        await api_keys.revoke(db, row.id)
    async with asyncio.timeout(30):
        told = parse((await following).text)
    assert [event.name for event in told] == ["progress"]


async def test_a_project_opens_only_so_many_streams(sqlite_service: Service) -> None:
    service = sqlite_service
    await service.post_trace()
    made = await service.client.post(RUNS, json={"metrics": ["task_completion"]})
    with ExitStack() as streams:
        for _ in range(service.stack.settings.max_event_streams):
            streams.enter_context(service.stack.streams.open(service.project_id))
        answer = await service.client.get(f"{RUNS}/{made.json()['id']}/events")
    assert answer.status_code == 429
    assert answer.headers["Retry-After"]
