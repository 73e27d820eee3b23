"""Monitors over HTTP: effects of each endpoint on row, schedule and runs."""

from typing import Any
from uuid import UUID, uuid4

import pytest

from core.ids import Scope
from tests.api.conftest import NEXT_RUN, Service, provider
from tests.api.monitoring import METRICS, MONITORS, body, make, moment, monitor_of, total
from tests.conftest import make_project


async def test_a_monitor_is_made_with_what_was_asked_for(service: Service) -> None:
    await service.publish(provider())
    made = await make(
        service,
        metrics=[*METRICS, METRICS[0]],
        filters={"tags": ["a"], "date_from": "2026-01-01", "status": None},
        sampling_rate=0.5,
        model="openai/other",
        cadence="cron:0 */6  * * mon-fri",
        only_if_changed=False,
    )
    assert made["metric_names"] == METRICS
    assert made["filters"] == {"tags": ["a"], "date_from": "2026-01-01"}
    assert (made["sampling_rate"], made["model"]) == (0.5, "openai/other")
    assert (made["cadence"], made["only_if_changed"]) == ("cron:0 */6  * * mon-fri", False)
    assert (made["status"], made["target_type"]) == ("ACTIVE", "TRACE")
    assert (made["last_run_at"], made["last_run_id"]) == (None, None)
    assert made["project_id"] == str(service.project_id)
    assert moment(made["next_run_at"]) == NEXT_RUN
    assert monitor_of(await service.client.get(f"{MONITORS}/{made['id']}")) == made
    [held] = service.schedules.held.values()
    assert (str(held.monitor_id), held.paused) == (made["id"], False)


async def test_defaults_are_those_of_a_run(service: Service) -> None:
    made = await make(service)
    assert (made["filters"], made["sampling_rate"], made["model"]) == ({}, 1, None)
    assert made["only_if_changed"] is True


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": ""},
        {"name": "n" * 501},
        {"name": "a\0"},
        {"name": None},
        {"target_type": "SPAN"},
        {"target_type": None},
        {"metrics": []},
        {"metrics": ["no_such_metric"]},
        {"metrics": ["agent_reliability"]},
        {"metrics": ["loop_detection"]},
        {"metrics": "task_completion"},
        {"filters": {"tag": ["a"]}},
        {"filters": {"tags": "a"}},
        {"filters": {"date_from": "yesterday"}},
        {"filters": {"date_from": "2026-02-01", "date_to": "2026-01-01"}},
        {"filters": {"name": "a\0"}},
        {"filters": {"signal_weights": {"confidence": 1}}},
        {"filters": []},
        {"filters": None},
        {"sampling_rate": 1.1},
        {"sampling_rate": -0.1},
        {"sampling_rate": None},
        {"model": ""},
        {"cadence": "hourly"},
        {"cadence": "cron:* * * *"},
        {"cadence": "cron:60 * * * *"},
        {"cadence": "cron:0 0 31 2 *"},
        {"cadence": "cron:" + "0," * 200 + "0 * * * *"},
        {"cadence": None},
        {"only_if_changed": None},
        {"signal_weights": {"confidence": 1}},
        {"status": "PAUSED"},
        {"every": "day"},
    ],
    ids=str,
)
async def test_a_bad_monitor_is_422_and_neither_made_nor_changed_into(
    shared_service: Service, wrong: dict[str, Any]
) -> None:
    before = await total(shared_service)
    answer = await shared_service.client.post(MONITORS, json=body(**wrong))
    assert answer.status_code == 422, answer.text
    assert await total(shared_service) == before
    made = await make(shared_service)
    if "target_type" not in wrong and None not in wrong.values():
        answer = await shared_service.client.patch(f"{MONITORS}/{made['id']}", json=wrong)
        assert answer.status_code == 422, answer.text
    again = await shared_service.client.get(f"{MONITORS}/{made['id']}")
    assert again.json() == made
    await shared_service.client.delete(f"{MONITORS}/{made['id']}")


@pytest.mark.parametrize(
    "name", ["name", "metrics", "filters", "sampling_rate", "cadence", "only_if_changed"]
)
async def test_null_for_what_a_monitor_must_have_changes_nothing(
    shared_service: Service, name: str
) -> None:
    made = await make(shared_service, filters={"tags": ["a"]}, sampling_rate=0.5)
    path = f"{MONITORS}/{made['id']}"
    changed = monitor_of(await shared_service.client.patch(path, json={name: None}))
    assert {**changed, "updated_at": None} == {**made, "updated_at": None}
    await shared_service.client.delete(path)


@pytest.mark.parametrize("missing", ["name", "target_type", "metrics", "cadence"])
async def test_what_a_monitor_needs_must_be_sent(shared_service: Service, missing: str) -> None:
    sent = {name: value for name, value in body().items() if name != missing}
    answer = await shared_service.client.post(MONITORS, json=sent)
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["body", missing]


async def test_a_refusal_says_what_is_wrong_with_filters_and_cadence(
    shared_service: Service,
) -> None:
    answer = await shared_service.client.post(MONITORS, json=body(filters={"tags": "secret"}))
    [problem] = answer.json()["detail"]
    assert problem["msg"].startswith("filters.tags: ")
    assert "secret" not in answer.text
    answer = await shared_service.client.post(MONITORS, json=body(cadence="cron:0 25 * * *"))
    [problem] = answer.json()["detail"]
    assert problem["loc"] == ["body", "cadence"]
    assert problem["msg"] == "hour '25' is not in 0-23"


async def test_a_model_without_credentials_is_refused_with_what_is_missing(
    service: Service,
) -> None:
    await service.publish(provider(available=False, message="OPENAI_API_KEY is not set"))
    answer = await service.client.post(MONITORS, json=body(model="openai/gpt-test"))
    assert answer.status_code == 422
    assert "OPENAI_API_KEY" in answer.json()["detail"]
    assert await total(service) == 0


async def test_only_what_is_sent_changes(service: Service) -> None:
    made = await make(service, filters={"tags": ["a"]}, model="openai/other", sampling_rate=0.5)
    path = f"{MONITORS}/{made['id']}"
    changed = monitor_of(await service.client.patch(path, json={"cadence": "weekly"}))
    assert changed == made | {"cadence": "weekly", "updated_at": changed["updated_at"]}
    assert moment(changed["updated_at"]) > moment(made["updated_at"])
    assert service.schedules.held[UUID(made["id"])].cadence == "weekly"
    changed = monitor_of(
        await service.client.patch(path, json={"model": None, "name": "n", "filters": {}})
    )
    assert (changed["model"], changed["name"], changed["filters"]) == (None, "n", {})
    assert (changed["cadence"], changed["sampling_rate"]) == ("weekly", 0.5)
    assert monitor_of(await service.client.patch(path, json={}))["name"] == "n"


async def test_pausing_and_resuming_are_idempotent(service: Service) -> None:
    made = await make(service)
    path = f"{MONITORS}/{made['id']}"
    first = monitor_of(await service.client.post(f"{path}/pause"))
    assert (first["status"], first["next_run_at"]) == ("PAUSED", None)
    assert monitor_of(await service.client.post(f"{path}/pause")) == first
    assert service.schedules.held[UUID(made["id"])].paused
    changed = monitor_of(await service.client.patch(path, json={"cadence": "weekly"}))
    assert (changed["status"], changed["next_run_at"]) == ("PAUSED", None)
    for _ in range(2):
        resumed = monitor_of(await service.client.post(f"{path}/resume"))
        assert resumed["status"] == "ACTIVE"
        assert moment(resumed["next_run_at"]) == NEXT_RUN
    assert not service.schedules.held[UUID(made["id"])].paused


async def test_monitors_are_listed_newest_first_in_pages_by_status(service: Service) -> None:
    ids = [(await make(service, name=f"m{n}"))["id"] for n in range(3)]
    await service.client.post(f"{MONITORS}/{ids[1]}/pause")
    page = (await service.client.get(MONITORS, params={"limit": 2})).json()
    assert [one["id"] for one in page["items"]] == [ids[2], ids[1]]
    assert (page["total"], page["limit"], page["offset"]) == (3, 2, 0)
    page = (await service.client.get(MONITORS, params={"limit": 2, "offset": 2})).json()
    assert [one["id"] for one in page["items"]] == [ids[0]]
    page = (await service.client.get(MONITORS, params={"status": "PAUSED"})).json()
    assert [(one["id"], one["next_run_at"]) for one in page["items"]] == [(ids[1], None)]
    page = (await service.client.get(MONITORS, params={"status": "ACTIVE"})).json()
    assert {one["id"]: moment(one["next_run_at"]) for one in page["items"]} == {
        ids[2]: NEXT_RUN,
        ids[0]: NEXT_RUN,
    }


@pytest.mark.parametrize(
    "query",
    [
        {"limit": 0},
        {"limit": 201},
        {"offset": -1},
        {"offset": 2**31},
        {"status": "ENDED"},
        {"sort": "name"},
    ],
)
async def test_bad_list_parameters_are_422(shared_service: Service, query: dict[str, Any]) -> None:
    answer = await shared_service.client.get(MONITORS, params=query)
    assert answer.status_code == 422


EACH = [
    ("GET", ""),
    ("PATCH", ""),
    ("DELETE", ""),
    ("POST", "/pause"),
    ("POST", "/resume"),
    ("POST", "/trigger"),
    ("GET", "/runs"),
]


@pytest.mark.parametrize(("method", "suffix"), EACH)
async def test_a_monitor_of_another_project_does_not_exist(
    service: Service, method: str, suffix: str
) -> None:
    await service.post_trace()
    made = await make(service)
    other = await make_project(service.database, "other")
    headers = {"X-API-Key": await service.key(project_id=other)}
    sent: dict[str, Any] = {"json": {"name": "theirs"}} if method == "PATCH" else {}
    path = f"{MONITORS}/{made['id']}{suffix}"
    answer = await service.client.request(method, path, headers=headers, **sent)
    assert answer.status_code == 404
    unknown = await service.client.request(method, f"{MONITORS}/{uuid4()}{suffix}", **sent)
    assert unknown.status_code == 404
    bad = await service.client.request(method, f"{MONITORS}/nonsense{suffix}", **sent)
    assert bad.status_code == 422
    assert monitor_of(await service.client.get(f"{MONITORS}/{made['id']}")) == made
    listed = await service.client.get(MONITORS, headers=headers)
    assert listed.json()["total"] == 0


async def test_a_read_only_key_reads_and_changes_nothing(service: Service) -> None:
    made = await make(service)
    headers = {"X-API-Key": await service.key(project_id=service.project_id, scope=Scope.READ)}
    for method, suffix in EACH:
        sent: dict[str, Any] = {"json": {}} if method == "PATCH" else {}
        answer = await service.client.request(
            method, f"{MONITORS}/{made['id']}{suffix}", headers=headers, **sent
        )
        assert answer.status_code == (200 if method == "GET" else 403)


async def test_filters_of_more_than_a_hundred_kilobytes_are_refused(service: Service) -> None:
    large = {"tags": [f"{n:0>200}" for n in range(600)]}
    runs = {"metrics": METRICS, "filters": large}
    for path, sent in (
        (MONITORS, body(filters=large)),
        ("/evaluations/trace-runs", runs),
        ("/evaluations/trace-runs/estimate", runs),
    ):
        answer = await service.client.post(path, json=sent)
        assert answer.status_code == 422, path
        assert "100 KB" in answer.text
