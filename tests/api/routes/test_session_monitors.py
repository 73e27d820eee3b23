"""Monitors over sessions."""

from typing import Any
from uuid import UUID

import pytest

from core.ids import TargetType
from core.queries import run_rows
from tests.api.conftest import Service
from tests.api.monitoring import METRICS, MONITORS, body, make, monitor_of


async def test_a_monitor_over_sessions_keeps_its_weights_beside_its_filters(
    service: Service,
) -> None:
    of = {"target_type": "SESSION", "metrics": ["agent_reliability"]}
    weights = {"confidence": 2, "loop_detection": 0}
    made = await make(service, **of, filters={"user_id": "u"}, signal_weights=weights)
    assert made["filters"] == {"user_id": "u", "signal_weights": weights}
    path = f"{MONITORS}/{made['id']}"
    changed = monitor_of(await service.client.patch(path, json={"filters": {}}))
    assert changed["filters"] == {"signal_weights": weights}
    changed = monitor_of(await service.client.patch(path, json={"signal_weights": None}))
    assert changed["filters"] == {}
    await service.post_trace(session_id="s")
    run = (await service.client.post(f"{path}/trigger")).json()
    async with service.database.read() as db:
        row = await run_rows.get(db, service.project_id, UUID(run["id"]))
    assert row.target_type is TargetType.SESSION


@pytest.mark.parametrize(
    "wrong",
    [
        {"metrics": METRICS},
        {"filters": {"status": "ERROR"}},
        {"signal_weights": {"plan_quality": 1}},
        {"signal_weights": {"confidence": -1}},
        {"filters": {"signal_weights": {"confidence": 1}}},
    ],
    ids=str,
)
async def test_a_bad_monitor_over_sessions_is_422(
    shared_service: Service, wrong: dict[str, Any]
) -> None:
    of = {"target_type": "SESSION", "metrics": ["agent_reliability"]}
    answer = await shared_service.client.post(MONITORS, json=body(**(of | wrong)))
    assert answer.status_code == 422, answer.text
