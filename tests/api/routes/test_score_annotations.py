"""Scores that people and their programs create, correct and delete."""

import json
from typing import Any
from uuid import uuid4

import pytest

from api.schemas.scores import TraceScoreBody
from core.ids import ScoreSource, ScoreStatus, TargetType
from core.queries import score_analytics
from tests.api.conftest import Service
from tests.api.routes.test_scores import SCORES, a_score, store


async def add(service: Service, **fields: Any) -> dict[str, Any]:
    answer = await service.client.post(SCORES, json={"name": "quality", "value": "0.5"} | fields)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    TraceScoreBody.model_validate(found, extra="forbid")
    return found


async def latest(service: Service, trace_id: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await service.client.get(f"{SCORES}/{trace_id}")).json()
    return found


async def test_a_score_of_ones_own_is_kept_with_what_its_trace_says(service: Service) -> None:
    trace_id = await service.post_trace(environment="prod")
    made = await add(service, trace_id=trace_id, reason="Liked it.", metadata={"by": [1, None]})
    wanted = {
        "trace_id": trace_id,
        "name": "quality",
        "value": "0.5",
        "status": "SUCCESS",
        "source": "ANNOTATION",
        "data_type": "NUMERIC",
        "reason": "Liked it.",
        "environment": "prod",
        "metadata": {"by": [1, None]},
        "eval_run_id": None,
    }
    assert {name: made[name] for name in wanted} == wanted
    assert await latest(service, trace_id) == [made]


@pytest.mark.parametrize(
    ("data_type", "value"),
    [
        *[("NUMERIC", text) for text in ("0", "1", "0.0", "1.0", "0.85", "0.0001", "1.0000")],
        *[("BOOLEAN", "true"), ("BOOLEAN", "false")],
        *[("CATEGORICAL", text) for text in ("good", "1.5", "日本 <b>", "x" * 65_536)],
    ],
)
async def test_a_value_of_its_type_is_kept_as_it_was_sent(
    shared_service: Service, data_type: str, value: str
) -> None:
    trace_id = await shared_service.post_trace()
    made = await add(
        shared_service,
        trace_id=trace_id,
        data_type=data_type,
        value=value,
        source="PROGRAMMATIC",
    )
    assert (made["data_type"], made["value"], made["source"]) == (data_type, value, "PROGRAMMATIC")


@pytest.mark.parametrize(
    ("data_type", "value", "stored"),
    [
        ("NUMERIC", str(1 / 3), "0.3333"),
        ("NUMERIC", "1e-1", "0.1"),
        ("NUMERIC", "-0", "0"),
        ("NUMERIC", "+1", "1"),
        ("NUMERIC", "0.00001", "0"),
        ("NUMERIC", " 0.5\n", "0.5"),
        ("NUMERIC", "0.50000", "0.5"),
        ("NUMERIC", ".5", "0.5"),
        ("NUMERIC", "1.", "1"),
        ("NUMERIC", "00.5", "0.5"),
        ("NUMERIC", "٠.٥", "0.5"),
        ("NUMERIC", "1.0000000000000002", "1"),
        ("NUMERIC", 0.5, "0.5"),
        ("NUMERIC", 2 / 3, "0.6667"),
        ("NUMERIC", 1, "1"),
        ("NUMERIC", 0, "0"),
        ("BOOLEAN", True, "true"),
        ("BOOLEAN", False, "false"),
        ("BOOLEAN", "True", "true"),
        ("BOOLEAN", "FALSE", "false"),
    ],
)
async def test_a_value_in_another_notation_is_stored_in_the_usual_one(
    shared_service: Service, data_type: str, value: str | float | bool, stored: str
) -> None:
    trace_id = await shared_service.post_trace()
    made = await add(shared_service, trace_id=trace_id, data_type=data_type, value=value)
    assert made["value"] == stored
    path = f"{SCORES}/{made['id']}"
    changed = await shared_service.client.patch(path, json={"value": value})
    assert changed.json()["value"] == stored


_NOT_NUMBERS: tuple[Any, ...] = (
    *("", "good", "true", "1.1", "2", "-0.1", "1.0001", "0,5", "1_0", "nan", "NaN", "inf"),
    *("Infinity", "0x1", "½", True, 1.5, -1, 10**400),
)


@pytest.mark.parametrize(
    ("data_type", "value"),
    [
        *[("NUMERIC", value) for value in _NOT_NUMBERS],
        *[("BOOLEAN", value) for value in ("1", "0", "yes", "", "true ", 1, 0, 0.5)],
        *[("CATEGORICAL", value) for value in ("", 1, True)],
    ],
)
async def test_a_value_not_of_its_type_is_422(
    shared_service: Service, data_type: str, value: str
) -> None:
    trace_id = await shared_service.post_trace()
    body = {"trace_id": trace_id, "name": "n", "value": value, "data_type": data_type}
    answer = await shared_service.client.post(SCORES, json=body)
    assert answer.status_code == 422, answer.text
    assert data_type in answer.json()["detail"]
    made = await add(
        shared_service,
        trace_id=trace_id,
        data_type=data_type,
        value="1" if data_type == "NUMERIC" else "true",
    )
    changed = await shared_service.client.patch(f"{SCORES}/{made['id']}", json={"value": value})
    assert changed.status_code == 422
    assert await latest(shared_service, trace_id) == [made]


@pytest.mark.parametrize(
    "fields",
    [
        {"source": "AUTOMATED"},
        {"source": "MANUAL"},
        {"source": None},
        {"data_type": "TEXT"},
        {"data_type": None},
        {"name": ""},
        {"name": "n" * 256},
        {"name": "\0"},
        {"name": None},
        {"value": None},
        {"value": [0.5]},
        {"value": {"number": 0.5}},
        {"value": "\0", "data_type": "CATEGORICAL"},
        {"trace_id": "x"},
        {"trace_id": None},
        {"metadata": None},
        {"metadata": [1]},
        {"reason": 7},
        {"reasons": "misspelt"},
        {"status": "FAILED"},
        {"eval_run_id": str(uuid4())},
    ],
)
async def test_a_bad_score_is_422_and_not_stored(
    shared_service: Service, fields: dict[str, Any]
) -> None:
    trace_id = await shared_service.post_trace()
    body = {"trace_id": trace_id, "name": "n", "value": "1"} | fields
    answer = await shared_service.client.post(SCORES, json=body)
    assert answer.status_code == 422, answer.text
    assert await latest(shared_service, trace_id) == []


async def test_a_score_of_an_unknown_trace_is_404(service: Service) -> None:
    body = {"trace_id": str(uuid4()), "name": "n", "value": "1"}
    answer = await service.client.post(SCORES, json=body)
    assert answer.status_code == 404


async def test_a_correction_changes_what_is_sent_and_makes_the_score_a_persons(
    service: Service,
) -> None:
    trace_id = await service.post_trace()
    for changes in (
        {"value": "0.25"},
        {"reason": "No."},
        {"reason": None},
        {"metadata": {"b": 2}},
        {"value": "1", "reason": "Yes.", "metadata": {}},
    ):
        row = a_score(
            service.project_id, target_id=trace_id, source=ScoreSource.AUTOMATED, value="0.5"
        )
        [score_id] = await store(service, row)
        before = TraceScoreBody.of(row).model_dump(mode="json")
        answer = await service.client.patch(f"{SCORES}/{score_id}", json=changes)
        assert answer.status_code == 200, answer.text
        after = answer.json()
        assert after["updated_at"] > before["updated_at"]
        merged = before["metadata"] | changes.get("metadata", {})
        expected = before | changes | {"source": "ANNOTATION", "updated_at": after["updated_at"]}
        expected |= {"metadata": merged}
        assert after == expected


@pytest.mark.parametrize("changes", [{"value": None}, {"metadata": None}])
async def test_null_for_what_cannot_be_null_changes_nothing(
    service: Service, changes: dict[str, None]
) -> None:
    row = a_score(
        service.project_id, target_id=await service.post_trace(), source=ScoreSource.AUTOMATED
    )
    [score_id] = await store(service, row)
    answer = await service.client.patch(f"{SCORES}/{score_id}", json=changes)
    assert answer.status_code == 200, answer.text
    assert answer.json() == TraceScoreBody.of(row).model_dump(mode="json")


async def test_null_removes_a_key_of_the_metadata(service: Service) -> None:
    made = await add(service, trace_id=await service.post_trace(), metadata={"a": 1, "b": 2})
    path = f"{SCORES}/{made['id']}"
    changed = await service.client.patch(path, json={"metadata": {"a": None, "c": {"d": None}}})
    assert changed.json()["metadata"] == {"b": 2, "c": {"d": None}}


async def test_a_corrected_failure_counts_as_a_success(service: Service) -> None:
    trace_id = await service.post_trace()
    row = a_score(
        service.project_id,
        target_id=trace_id,
        status=ScoreStatus.FAILED,
        value=None,
        number=None,
    )
    [score_id] = await store(service, row)
    answer = await service.client.patch(f"{SCORES}/{score_id}", json={"value": "0.75"})
    assert answer.json()["status"] == "SUCCESS"
    async with service.database.read() as db:
        scope = score_analytics.ScoreWindow(service.project_id, TargetType.TRACE)
        [figures] = await score_analytics.summary(db, scope)
    assert (figures.median_score, figures.success_count, figures.failed_count) == (0.75, 1, 0)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"value": 2},
        {"value": []},
        {"metadata": "m"},
        {"name": "other"},
        {"status": "FAILED"},
        {"reason": 7},
        [],
        None,
    ],
)
async def test_a_bad_correction_is_422_and_changes_nothing(
    shared_service: Service, changes: Any
) -> None:
    trace_id = await shared_service.post_trace()
    made = await add(shared_service, trace_id=trace_id)
    answer = await shared_service.client.patch(
        f"{SCORES}/{made['id']}",
        content=json.dumps(changes),
        headers={"Content-Type": "application/json"},
    )
    assert answer.status_code == 422, answer.text
    assert await latest(shared_service, trace_id) == [made]


async def test_a_deleted_score_is_gone_and_the_one_before_it_is_the_newest(
    service: Service,
) -> None:
    trace_id = await service.post_trace()
    first = await add(service, trace_id=trace_id, value="0.1")
    second = await add(service, trace_id=trace_id, value="0.2")
    assert await latest(service, trace_id) == [second]
    answer = await service.client.delete(f"{SCORES}/{second['id']}")
    assert (answer.status_code, answer.content) == (204, b"")
    assert await latest(service, trace_id) == [first]
    assert (await service.client.delete(f"{SCORES}/{second['id']}")).status_code == 404


async def test_a_score_of_a_session_is_no_score_of_a_trace(service: Service) -> None:
    row = a_score(service.project_id, target_type=TargetType.SESSION, target_id="s")
    [score_id] = await store(service, row)
    path = f"{SCORES}/{score_id}"
    assert (await service.client.patch(path, json={"value": "1"})).status_code == 404
    assert (await service.client.delete(path)).status_code == 404
    assert (
        await service.client.patch(f"{SCORES}/{uuid4()}", json={"value": "1"})
    ).status_code == 404
    for score_id in ("x", "%00"):
        assert (
            await service.client.patch(f"{SCORES}/{score_id}", json={"value": "1"})
        ).status_code == 422
        assert (await service.client.delete(f"{SCORES}/{score_id}")).status_code == 422
