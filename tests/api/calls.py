"""Calls of the API that several test files make."""

from typing import Any

from sqlalchemy import func, select

from api.schemas.traces import TraceDetail
from core.db.tables import metadata
from core.ids import Scope
from tests.api.conftest import Service

SCORES = "/evaluations/trace-scores"


async def held(service: Service, trace_id: str) -> dict[str, Any]:
    answer = await service.client.get(f"/traces/{trace_id}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    TraceDetail.model_validate(found, extra="forbid")
    return found


async def add_score(service: Service, trace_id: str, **fields: Any) -> str:
    body = {"trace_id": trace_id, "name": "quality", "value": "0.5"} | fields
    answer = await service.client.post(SCORES, json=body)
    assert answer.status_code == 201, answer.text
    made: str = answer.json()["id"]
    return made


async def rows(service: Service, table: str) -> int:
    async with service.database.read() as db:
        count = await db.scalar(select(func.count()).select_from(metadata.tables[table]))
    assert count is not None
    return count


async def foreign(service: Service) -> dict[str, str]:
    return {"X-API-Key": await service.key(), "X-Project-Name": "theirs"}


async def admin(service: Service, *, bound: bool = False) -> dict[str, str]:
    """Headers of an administrator; `bound`: to the service's project alone."""
    key = await service.key(
        name="root", scope=Scope.ADMIN, project_id=service.project_id, any_project=not bound
    )
    return {"X-API-Key": key}
