"""Browsers without scripts: plain HTTP clients that keep cookies and read pages."""

import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from core import clock
from core.db.tables import EvalRun, EvalRunTarget, Score, metadata
from core.ids import RunStatus, Scope, ScoreSource, ScoreStatus, ScoreType, TargetType
from tests.api.conftest import Service

_CSRF = re.compile(r'name="csrf" value="([^"]+)"')
MODEL = "openai/gpt-test"


@dataclass
class Browser:
    """`project` is the address of the service's only project."""

    client: httpx.AsyncClient
    project: str = "/ui/default"

    async def get(self, path: str) -> httpx.Response:
        return await self.client.get(self._within(path))

    async def post(self, path: str, *, from_page: str, **fields: str) -> httpx.Response:
        """Sends the form of a page with its token."""
        form = await self.get(from_page)
        found = _CSRF.search(form.text)
        token = found[1] if found else ""
        return await self.client.post(self._within(path), data={"csrf": token} | fields)

    def _within(self, path: str) -> str:
        return path if path.startswith("/ui") else f"{self.project}{path}"


@asynccontextmanager
async def browser(service: Service) -> AsyncIterator[Browser]:
    # No part of a page loads later in these tests.
    service.app.state.stack.slow_parts.patience_seconds = 60.0
    transport = httpx.ASGITransport(service.app, raise_app_exceptions=True)
    async with httpx.AsyncClient(transport=transport, base_url="http://assay") as client:
        yield Browser(client)


async def sign_in(one: Browser, key: str) -> httpx.Response:
    return await one.post("/ui/sign-in", from_page="/ui/sign-in", key=key)


@pytest.fixture
async def writer(service: Service) -> AsyncIterator[Browser]:
    """Signed in with a write key of the project."""
    async with browser(service) as one:
        await sign_in(one, await service.key(scope=Scope.WRITE, project_id=service.project_id))
        yield one


@pytest.fixture
async def sqlite_writer(sqlite_service: Service) -> AsyncIterator[Browser]:
    """Like `writer`, on SQLite only, for tests that do not depend on the database."""
    async with browser(sqlite_service) as one:
        key = await sqlite_service.key(scope=Scope.WRITE, project_id=sqlite_service.project_id)
        await sign_in(one, key)
        yield one


@pytest.fixture
async def reader(service: Service) -> AsyncIterator[Browser]:
    """Signed in with a read key of the project."""
    async with browser(service) as one:
        await sign_in(one, await service.key(scope=Scope.READ, project_id=service.project_id))
        yield one


NewScore = tuple[str, str, float | None]


async def store_run(
    service: Service,
    scores: list[NewScore],
    *,
    environments: dict[str, str] | None = None,
    **of_run: Any,
) -> UUID:
    """A completed run with these scores: trace id, metric, number (None: not applicable).

    `environments`: the environments of traces, where they have one.
    """
    known = environments or {}
    run_id = uuid4()
    targets = list(dict.fromkeys(trace for trace, _, _ in scores))
    metrics = list(dict.fromkeys(metric for _, metric, _ in scores))
    now = clock.now()
    run: dict[str, Any] = {
        "id": run_id,
        "project_id": service.project_id,
        "target_type": TargetType.TRACE,
        "name": "nightly",
        "status": RunStatus.COMPLETED,
        "metric_names": metrics,
        "filters": {},
        "model": MODEL,
        "total_targets": len(targets),
        "evaluated_count": len(targets),
        "created_at": now,
        "admitted_at": now,
        "resolved_at": now,
        "completed_at": now,
    } | of_run
    async with service.database.write() as db:
        db.add(EvalRun(**run))
        await db.flush()
        for seq, target in enumerate(targets):
            db.add(EvalRunTarget(run_id=run_id, seq=seq, target_id=target, pair_count=len(metrics)))
        await db.execute(
            metadata.tables["score"].insert(),
            [
                score_row(service, run_id, *score) | {"environment": known.get(score[0])}
                for score in scores
            ],
        )
    return run_id


def score_row(
    service: Service, run_id: UUID | None, trace_id: str, metric: str, number: float | None
) -> dict[str, Any]:
    now = clock.now()
    return {
        "id": uuid4(),
        "project_id": service.project_id,
        "target_type": TargetType.TRACE,
        "target_id": trace_id,
        "name": metric,
        "status": ScoreStatus.SUCCESS,
        "source": ScoreSource.AUTOMATED,
        "data_type": ScoreType.NUMERIC,
        "value": None if number is None else f"{number:g}",
        "number": number,
        "reason": f"Because of {metric}.",
        "environment": None,
        "eval_run_id": run_id,
        "config_id": None,
        "author_user_id": None,
        "judge_calls": 1,
        "cached_calls": 0,
        "prompt_tokens": 10,
        "completion_tokens": 5,
        "cost_usd": 0.001,
        "metadata": {},
        "created_at": now,
        "updated_at": now,
    }


async def put_metadata(service: Service, run_id: UUID, found: dict[str, Any]) -> UUID:
    """Sets the metadata of the run's only score; returns the score's id."""
    async with service.database.write() as db:
        table = Score.__table__  # type: ignore[attr-defined]  # SQLModel keeps it there
        await db.execute(table.update().where(table.c.eval_run_id == run_id).values(metadata=found))
        row = await db.execute(table.select().where(table.c.eval_run_id == run_id))
        return UUID(str(row.one().id))


def texts(pattern: str) -> Callable[[str], list[str]]:
    return re.compile(pattern).findall
