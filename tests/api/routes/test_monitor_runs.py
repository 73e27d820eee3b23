"""Monitors and their runs."""

from typing import Any
from uuid import UUID

import pytest

from api.schemas.runs import EvalRunBody
from core.ids import RunStatus
from core.queries import monitor_rows
from tests.api.conftest import MODEL, Service, provider
from tests.api.monitoring import METRICS, MONITORS, make, monitor_of
from tests.factories import end_run


async def test_triggering_opens_a_run_now(service: Service) -> None:
    await service.publish(provider())
    await service.post_trace(tags=["a"])
    made = await make(service, filters={"tags": ["a"]}, sampling_rate=0.5)
    await service.client.post(f"{MONITORS}/{made['id']}/pause")
    answer = await service.client.post(f"{MONITORS}/{made['id']}/trigger")
    assert answer.status_code == 202, answer.text
    run = answer.json()
    EvalRunBody.model_validate(run, extra="forbid")
    assert (run["name"], run["monitor_id"]) == ("[Monitor] nightly", made["id"])
    assert (run["metric_names"], run["filters"]) == (METRICS, {"tags": ["a"]})
    assert (run["sampling_rate"], run["model"]) == (0.5, MODEL)
    [started] = service.runs.started
    assert (str(started.run_id), str(started.monitor_id)) == (run["id"], made["id"])
    shown = monitor_of(await service.client.get(f"{MONITORS}/{made['id']}"))
    assert (shown["last_run_id"], shown["last_run_at"]) == (run["id"], run["created_at"])
    # Nothing new has arrived; the trigger runs the monitor nevertheless.
    again = await service.client.post(f"{MONITORS}/{made['id']}/trigger")
    assert again.status_code == 202
    page = (await service.client.get(f"{MONITORS}/{made['id']}/runs")).json()
    assert [one["id"] for one in page["items"]] == [again.json()["id"], run["id"]]
    assert page["total"] == 2
    page = (await service.client.get(f"{MONITORS}/{made['id']}/runs?limit=1&offset=1")).json()
    assert [one["id"] for one in page["items"]] == [run["id"]]


async def test_triggering_twice_with_one_key_opens_one_run(service: Service) -> None:
    await service.post_trace()
    made, other = await make(service), await make(service)
    headers = {"Idempotency-Key": "k"}
    path = f"{MONITORS}/{made['id']}/trigger"
    first = await service.client.post(path, headers=headers)
    second = await service.client.post(path, headers=headers)
    assert (first.status_code, first.json()["id"]) == (202, second.json()["id"])
    foreign = await service.client.post(f"{MONITORS}/{other['id']}/trigger", headers=headers)
    assert foreign.status_code == 409
    assert len(service.runs.started) == 1


async def test_triggering_is_422_when_nothing_matches(service: Service) -> None:
    await service.post_trace()
    made = await make(service, filters={"name": "somebody else"})
    answer = await service.client.post(f"{MONITORS}/{made['id']}/trigger")
    assert answer.status_code == 422
    assert "Nothing matches" in answer.json()["detail"]
    assert (await service.client.get(f"{MONITORS}/{made['id']}/runs")).json()["total"] == 0


@pytest.mark.parametrize(
    ("column", "value", "says"),
    [
        ("filters", {"no_such_filter": 1}, "no_such_filter"),
        ("metric_names", ["no_such_metric"], "no_such_metric"),
    ],
)
async def test_triggering_a_monitor_that_a_later_release_cannot_run_says_why(
    service: Service, column: str, value: Any, says: str
) -> None:
    await service.post_trace()
    made = await make(service)
    async with service.database.write() as db:
        row = await monitor_rows.lock(db, service.project_id, UUID(made["id"]))
        setattr(row, column, value)
    answer = await service.client.post(f"{MONITORS}/{made['id']}/trigger")
    assert answer.status_code == 422, answer.text
    assert says in answer.json()["detail"]
    assert service.runs.started == []


async def test_deleting_a_monitor_keeps_its_runs_even_one_under_way(service: Service) -> None:
    await service.post_trace()
    made = await make(service)
    run = (await service.client.post(f"{MONITORS}/{made['id']}/trigger")).json()
    answer = await service.client.delete(f"{MONITORS}/{made['id']}")
    assert (answer.status_code, answer.content) == (204, b"")
    assert service.schedules.held == {}
    assert service.runs.cancelled == []
    kept = (await service.client.get(f"/evaluations/trace-runs/{run['id']}")).json()
    assert (kept["id"], kept["status"], kept["monitor_id"]) == (run["id"], "PENDING", None)
    assert (await service.client.delete(f"{MONITORS}/{made['id']}")).status_code == 404


async def test_a_deleted_run_is_nobodys_last_run(service: Service) -> None:
    await service.post_trace()
    made = await make(service)
    run = (await service.client.post(f"{MONITORS}/{made['id']}/trigger")).json()
    await end_run(service.database, service.project_id, UUID(run["id"]), RunStatus.COMPLETED)
    await service.client.delete(f"/evaluations/trace-runs/{run['id']}")
    shown = monitor_of(await service.client.get(f"{MONITORS}/{made['id']}"))
    assert (shown["last_run_id"], shown["last_run_at"]) == (None, run["created_at"])
