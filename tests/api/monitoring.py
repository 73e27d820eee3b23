"""Creates and reads monitors over HTTP."""

from datetime import datetime
from typing import Any

import httpx

from api.schemas.monitors import Monitor
from tests.api.conftest import Service

MONITORS = "/evaluations/monitors"
METRICS = ["task_completion", "tool_correctness"]


def body(**overrides: Any) -> dict[str, Any]:
    return {
        "name": "nightly",
        "target_type": "TRACE",
        "metrics": METRICS,
        "cadence": "daily",
    } | overrides


def monitor_of(answer: httpx.Response, status: int = 200) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    held = answer.json()
    Monitor.model_validate(held, extra="forbid")
    assert isinstance(held, dict)
    return held


async def make(service: Service, **overrides: Any) -> dict[str, Any]:
    return monitor_of(await service.client.post(MONITORS, json=body(**overrides)), 201)


async def total(service: Service) -> int:
    return int((await service.client.get(MONITORS)).json()["total"])


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)
