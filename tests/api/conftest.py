"""The real app on real databases; stand-ins replace Temporal where it is not under test."""

import json
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
from starlette.routing import BaseRoute

from activities.payloads import OpenPairs
from api.app import create_app
from api.dependencies import AppState
from core import clock
from core.db.database import Database
from core.errors import Unavailable
from core.ids import ProjectId, RunStatus, Scope
from core.provider_status import ProviderStatus
from core.queries import api_keys, projects, workers
from core.queries.api_keys import NewKey
from core.run_spec import RunSpec
from core.settings import Settings
from core.temporal.pending import PendingActivity
from core.temporal.schedule_sync import ScheduleSync
from core.temporal.schedules import DescribedSchedule, ListedSchedule, MonitorSchedule
from tests.factories import trace_body
from workflows.comparison_client import ComparisonClient
from workflows.inputs import RunProgress
from workflows.project_client import ProjectDeletions
from workflows.run_client import EvalRunClient
from workflows.workflow_state import WorkflowState

MODEL = "openai/gpt-test"
RECORDED_DOCUMENT = Path(__file__).parent / "openapi.json"


def recorded_document() -> dict[str, Any]:
    """The OpenAPI document, which takes less time to read than to generate.

    A test compares it with the one that the API generates.
    """
    return cast(dict[str, Any], json.loads(RECORDED_DOCUMENT.read_text()))


def away() -> Unavailable:
    return Unavailable("Temporal", "Nothing was started; try again in a moment.")


@dataclass
class StandInRuns:
    """Answers like `EvalRunClient`, with values that a test sets."""

    reachable: bool = True
    start_fails: bool = False
    polled: bool = True
    counts: tuple[int, int] = (0, 0)
    existing: WorkflowState | None = WorkflowState.ABSENT
    answers: RunProgress | None = None
    pending: list[PendingActivity] = field(default_factory=list)
    started: list[RunSpec] = field(default_factory=list)
    open_pairs: list[OpenPairs | None] = field(default_factory=list)
    cancelled: list[UUID] = field(default_factory=list)
    resumed: list[UUID] = field(default_factory=list)
    on_progress: Callable[[], None] = lambda: None

    async def check_reachable(self) -> None:
        if not self.reachable:
            raise away()

    async def namespace(self) -> str:
        return "default (1)"

    async def start(
        self, run: RunSpec, *, wait_seconds: float, open_pairs: OpenPairs | None = None
    ) -> RunProgress | None:
        if self.start_fails:
            raise away()
        self.started.append(run)
        self.open_pairs.append(open_pairs)
        return self.answers

    async def existence(self, run_id: UUID) -> WorkflowState:
        if self.existing is None:
            raise away()
        return self.existing

    async def progress(self, run_id: UUID) -> RunProgress | None:
        self.on_progress()
        return self.answers

    def last_counts(self, run_id: UUID) -> tuple[int, int]:
        return self.counts

    def is_closed(self, run_id: UUID) -> bool:
        return False

    def why_silent(self, run_id: UUID) -> str | None:
        return None

    async def pending_activities(self, run_id: UUID) -> list[PendingActivity]:
        return self.pending

    async def is_polled(self, *, within_seconds: float) -> bool:
        if not self.reachable:
            raise away()
        return self.polled

    async def resume(self, run_id: UUID) -> None:
        if not self.reachable:
            raise away()
        self.resumed.append(run_id)

    async def cancel(self, run_id: UUID) -> None:
        if not self.reachable:
            raise away()
        self.cancelled.append(run_id)


@dataclass
class StandInDeletions:
    """Answers like `ProjectDeletions`."""

    reachable: bool = True
    started: list[UUID] = field(default_factory=list)

    async def start(self, project_id: UUID) -> None:
        if not self.reachable:
            raise away()
        self.started.append(project_id)


@dataclass
class StandInComparisons:
    """Answers like `ComparisonClient`. A test computes the started comparisons itself."""

    reachable: bool = True
    started: list[UUID] = field(default_factory=list)

    async def start(self, project_id: UUID, comparison_id: UUID) -> None:
        if not self.reachable:
            raise away()
        self.started.append(comparison_id)


NEXT_RUN = datetime(2099, 1, 1, 6, tzinfo=UTC)


@dataclass
class StandInSchedules:
    """Answers like `Schedules`; every schedule is next due at `NEXT_RUN`."""

    reachable: bool = True
    held: dict[UUID, MonitorSchedule] = field(default_factory=dict)
    skipped_by_outage: int = 0

    async def put(self, clock: MonitorSchedule) -> None:
        self._check()
        self.held[clock.monitor_id] = clock

    async def remove(self, monitor_id: UUID) -> None:
        self._check()
        self.held.pop(monitor_id, None)

    async def described(self, monitor_id: UUID) -> DescribedSchedule | None:
        self._check()
        held = self.held.get(monitor_id)
        if held is None:
            return None
        return DescribedSchedule(
            note=held.note,
            paused=held.paused,
            next_run_at=None if held.paused else NEXT_RUN,
            skipped_by_outage=self.skipped_by_outage,
        )

    async def listed(self) -> dict[UUID, ListedSchedule]:
        self._check()
        return {
            schedule_id: ListedSchedule(held.note, held.paused)
            for schedule_id, held in self.held.items()
        }

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
    deletions: StandInDeletions
    comparisons: StandInComparisons

    @property
    def stack(self) -> AppState:
        return cast(AppState, self.app.state.stack)

    async def key(self, **of: Any) -> str:
        async with self.database.write() as db:
            _, text = await api_keys.create(db, NewKey(**({"name": "test"} | of)))
        return text

    async def post_trace(self, **overrides: Any) -> str:
        answer = await self.client.post("/traces", json=trace_body(**overrides))
        assert answer.status_code == 202, answer.text
        return cast(str, answer.json()["trace_id"])

    async def publish(self, *providers: ProviderStatus, default_model: str = MODEL) -> None:
        async with self.database.write() as db:
            await workers.publish(
                db,
                worker_id="w",
                started_at=clock.now(),
                default_model=default_model,
                providers=providers,
            )


def provider(
    key: str = "openai", *, available: bool = True, message: str = "ready"
) -> ProviderStatus:
    return ProviderStatus(key, key.title(), "Models.", available, message)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(_env_file=None, home=tmp_path, max_body_bytes=10 * 1024 * 1024)


_included: list[BaseRoute] = []


def made_app(settings: Settings) -> FastAPI:
    """A new app that shares the routers of the first app.

    FastAPI prepares all routes at the first request to an app, which takes longer than most tests.
    The routes are the same in all apps.
    """
    app = create_app(settings)
    included = [route for route in app.router.routes if hasattr(route, "original_router")]
    _included[:] = _included or included
    others = [route for route in app.router.routes if route not in included]
    app.router.routes[:] = others + _included
    return app


async def serve(url: str, settings: Settings) -> AsyncIterator[Service]:
    app = made_app(settings.model_copy(update={"database_url": url}))
    async with app.router.lifespan_context(app):
        stack: AppState = app.state.stack
        stand_in = StandInRuns()
        schedules = StandInSchedules()
        deletions = StandInDeletions()
        comparisons = StandInComparisons()
        app.state.stack = replace(
            stack,
            runs=cast(EvalRunClient, stand_in),
            clockwork=ScheduleSync(stack.database, schedules),
            project_deletions=cast(ProjectDeletions, deletions),
            comparisons=cast(ComparisonClient, comparisons),
        )
        async with stack.database.write() as db:
            project_id = await projects.ensure(db, "default")
            _, text = await api_keys.create(
                db, NewKey("test", scope=Scope.WRITE, project_id=project_id)
            )
        # An error that escapes the app fails the test; a server would answer 500.
        transport = httpx.ASGITransport(app, raise_app_exceptions=True)
        headers = {"Authorization": f"Bearer {text}"}
        async with httpx.AsyncClient(
            transport=transport, base_url="http://assay", headers=headers
        ) as client:
            yield Service(
                *(app, client, stack.database, project_id),
                *(stand_in, schedules, deletions, comparisons),
            )


@pytest.fixture
async def service(any_database_url: str, settings: Settings) -> AsyncIterator[Service]:
    """The service, on each kind of database."""
    async for made in serve(any_database_url, settings):
        yield made


@pytest.fixture(scope="module")
async def shared_service(
    sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Service]:
    """One service for all tests of a file that do not affect each other."""
    folder = tmp_path_factory.mktemp("shared")
    shutil.copy(sqlite_template, folder / "assay.db")
    async for made in serve(f"sqlite:///{folder}/assay.db", Settings(_env_file=None, home=folder)):
        yield made


@pytest.fixture
async def sqlite_service(sqlite_url: str, settings: Settings) -> AsyncIterator[Service]:
    """For tests that do not depend on the database."""
    async for made in serve(sqlite_url, settings):
        yield made
