"""Monitors over sessions, by filters that stand in for the real ones."""

from typing import Any
from uuid import UUID

import pytest
from pydantic import BaseModel, ConfigDict
from sqlmodel import col

from core.ids import TargetType
from core.queries import runs
from core.queries import watched as watched_queries
from core.queries.watched import Watched
from core.tables import Trace
from tests.api.conftest import Service
from tests.api.monitoring import METRICS, MONITORS, body, make, monitor_of


class OfSession(BaseModel):
    """Session filters as far as the seam needs any."""

    model_config = ConfigDict(extra="forbid")

    user_id: str | None = None


@pytest.fixture
def sessions_are_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    kind = Watched(OfSession, lambda _, project: [col(Trace.project_id) == project])
    monkeypatch.setitem(watched_queries.WATCHED, TargetType.SESSION, kind)


@pytest.mark.usefixtures("sessions_are_judged")
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
    await service.post_trace()
    run = (await service.client.post(f"{path}/trigger")).json()
    async with service.database.read() as db:
        row = await runs.get(db, service.project_id, UUID(run["id"]))
    assert row.target_type is TargetType.SESSION


@pytest.mark.usefixtures("sessions_are_judged")
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
