"""The real app on real databases; Temporal stands in where it is not the point."""

import shutil
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import httpx
import pytest
from fastapi import FastAPI

from api.app import create_app
from api.dependencies import Stack
from core import clock
from core.clockwork import Clockwork
from core.database import Database
from core.errors import Unavailable
from core.ids import ProjectId, RunStatus, Scope
from core.queries import keys, projects, workers
from core.queries.keys import NewKey
from core.queries.workers import ProviderRow
from core.schedules import MonitorClock, Seen
from core.settings import Settings
from tests.factories import trace_body
from workflows.control import EvalRuns, Existence, RunToStart
from workflows.evaluation import RunProgress

MODEL = "openai/gpt-test"


def away() -> Unavailable:
    return Unavailable("Temporal", "Nothing was started; try again in a moment.")


@dataclass
class StandInRuns:
    """Answers as `EvalRuns` would, from what a test has set."""

    reachable: bool = True
    start_fails: bool = False
    polled: bool = True
    existing: Existence | None = Existence.ABSENT
    answers: RunProgress | None = None
    started: list[RunToStart] = field(default_factory=list)
    cancelled: list[UUID] = field(default_factory=list)
    on_progress: Callable[[], None] = lambda: None

    async def check_reachable(self) -> None:
        if not self.reachable:
            raise away()

    async def start(self, run: RunToStart, *, wait_seconds: float) -> RunProgress | None:
        if self.start_fails:
            raise away()
        self.started.append(run)
        return self.answers

    async def existence(self, run_id: UUID) -> Existence:
        if self.existing is None:
            raise away()
        return self.existing

    async def progress(self, run_id: UUID) -> RunProgress | None:
        self.on_progress()
        return self.answers

    async def is_polled(self, *, within_seconds: float) -> bool:
        if not self.reachable:
            raise away()
        return self.polled

    async def cancel(self, run_id: UUID) -> None:
        if not self.reachable:
            raise away()
        self.cancelled.append(run_id)


NEXT_RUN = datetime(2099, 1, 1, 6, tzinfo=UTC)


@dataclass
class StandInSchedules:
    """Answers as `Schedules` would; every clock it holds strikes next at `NEXT_RUN`."""

    reachable: bool = True
    held: dict[UUID, MonitorClock] = field(default_factory=dict)

    async def put(self, clock: MonitorClock) -> None:
        self._check()
        self.held[clock.monitor_id] = clock

    async def remove(self, monitor_id: UUID) -> None:
        self._check()
        self.held.pop(monitor_id, None)

    async def next_run(self, monitor_id: UUID) -> datetime | None:
        self._check()
        held = self.held.get(monitor_id)
        return None if held is None or held.paused else NEXT_RUN

    async def listed(self) -> dict[UUID, Seen]:
        self._check()
        return {id: Seen(held.note, held.paused) for id, held in self.held.items()}

    def _check(self) -> None:
        if not self.reachable:
            raise away()


def running(total: int = 1, evaluated: int = 0, **overrides: Any) -> RunProgress:
    return replace(
        RunProgress(RunStatus.RUNNING, total, evaluated, 0, activity="judging"), **overrides
    )


@dataclass
class Service:
    """One API process, and a client with a write key bound to its only project."""

    app: FastAPI
    client: httpx.AsyncClient
    database: Database
    project_id: ProjectId
    runs: StandInRuns
    schedules: StandInSchedules

    @property
    def stack(self) -> Stack:
        return cast(Stack, self.app.state.stack)

    async def key(self, **of: Any) -> str:
        async with self.database.write() as db:
            _, text = await keys.create(db, NewKey(**({"name": "test"} | of)))
        return text

    async def post_trace(self, **overrides: Any) -> str:
        answer = await self.client.post("/traces", json=trace_body(**overrides))
        assert answer.status_code == 202, answer.text
        return cast(str, answer.json()["trace_id"])

    async def publish(self, *providers: ProviderRow, default_model: str = MODEL) -> None:
        async with self.database.write() as db:
            await workers.publish(
                db,
                worker_id="w",
                started_at=clock.now(),
                default_model=default_model,
                providers=providers,
            )


def provider(key: str = "openai", *, available: bool = True, message: str = "ready") -> ProviderRow:
    return ProviderRow(key, key.title(), "Models.", available, message)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(_env_file=None, home=tmp_path, max_body_bytes=10 * 1024 * 1024)


async def serve(url: str, settings: Settings) -> AsyncIterator[Service]:
    app = create_app(settings.model_copy(update={"database_url": url}))
    async with app.router.lifespan_context(app):
        stack: Stack = app.state.stack
        stand_in = StandInRuns()
        schedules = StandInSchedules()
        app.state.stack = replace(
            stack,
            runs=cast(EvalRuns, stand_in),
            clockwork=Clockwork(stack.database, schedules),
        )
        async with stack.database.write() as db:
            project_id = await projects.ensure(db, "default")
            _, text = await keys.create(
                db, NewKey("test", scope=Scope.WRITE, project_id=project_id)
            )
        # An error that escapes the app is what a server turns into a 500; here it fails the test.
        transport = httpx.ASGITransport(app, raise_app_exceptions=True)
        headers = {"Authorization": f"Bearer {text}"}
        async with httpx.AsyncClient(
            transport=transport, base_url="http://assay", headers=headers
        ) as client:
            yield Service(app, client, stack.database, project_id, stand_in, schedules)


@pytest.fixture
async def service(any_database_url: str, settings: Settings) -> AsyncIterator[Service]:
    """On each kind of database."""
    async for made in serve(any_database_url, settings):
        yield made


@pytest.fixture(scope="module")
async def shared_service(
    sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Service]:
    """One for all tests of a file that leave nothing behind."""
    folder = tmp_path_factory.mktemp("shared")
    shutil.copy(sqlite_template, folder / "assay.db")
    async for made in serve(f"sqlite:///{folder}/assay.db", Settings(_env_file=None, home=folder)):
        yield made


@pytest.fixture
async def sqlite_service(sqlite_url: str, settings: Settings) -> AsyncIterator[Service]:
    """For tests whose point is not the database."""
    async for made in serve(sqlite_url, settings):
        yield made
