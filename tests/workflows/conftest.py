"""Real workflows, activities, store and Temporal; only the judge is scripted."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
from sqlmodel import col, select
from temporalio.api.sdk.v1 import WorkflowMetadata
from temporalio.client import Client, WorkflowHandle
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import TimeSkippingConfig, WorkflowEnvironment

import worker
from activities import error_translation
from activities.open_pairs import of_new_runs
from activities.payloads import OpenPairs
from core.db.database import Database
from core.db.tables import EvalRun, Score
from core.ids import ProjectId
from core.open_target import OpenTarget
from core.queries import run_pairs, run_rows, run_sampling, workers
from core.run_spec import RunSpec
from core.settings import Settings
from core.temporal import client as temporal_settings
from tests.conftest import make_project, temporal_binary
from tests.factories import new_run, store_traces
from tests.workflows.judges import ScriptedJudges
from workflows.eval_run import EvalRunWorkflow
from workflows.inputs import RunProgress
from workflows.maintenance_client import MaintenanceClient
from workflows.policies import CURRENT_LIMITS, Limits

METRICS = ["step_efficiency", "task_completion", "tool_correctness"]


@dataclass
class Stack:
    """One installation without its API."""

    client: Client
    database: Database
    project_id: ProjectId
    task_queue: str
    judges: ScriptedJudges
    eval_runs: MaintenanceClient

    @asynccontextmanager
    async def worker(self, **settings: object) -> AsyncIterator[None]:
        values = Settings.model_validate(
            {"task_queue": self.task_queue, "shutdown_grace_seconds": 5} | settings
        )
        async with worker.polling(values, self.database, self.judges, self.client):
            yield

    async def post(
        self,
        *,
        traces: int,
        wait_seconds: float = 5,
        limits: Limits = CURRENT_LIMITS,
        with_pairs: bool = False,
        **overrides: object,
    ) -> EvalRun:
        ids = await store_traces(self.database, self.project_id, traces)
        if with_pairs:
            overrides["filters"] = {"trace_ids": [str(trace_id) for trace_id in ids]}
        async with self.database.write() as db:
            row = await run_rows.create(
                db,
                new_run(
                    self.project_id,
                    **({"metric_names": METRICS, "model": "scripted/judge"} | overrides),
                ),
            )
            row.admitted_at = row.created_at
            await run_sampling.freeze_named(db, row)
        spec = RunSpec.of(row)
        pairs = await self._pairs_of(row) if with_pairs else None
        await self.eval_runs.start(spec, wait_seconds=wait_seconds, limits=limits, open_pairs=pairs)
        return row

    async def _pairs_of(self, run: EvalRun) -> OpenPairs:
        """The pairs, as the API and the admission of runs read them."""
        async with self.database.write() as db:
            await workers.publish(
                db,
                worker_id="a-worker",
                started_at=run.created_at,
                default_model=self.judges.default_model,
                providers=self.judges.providers(),
            )
        async with self.database.read() as db:
            return (await of_new_runs(db, [run], self.task_queue))[run.id]

    def handle(self, run: EvalRun) -> WorkflowHandle[EvalRunWorkflow, RunProgress]:
        return self.client.get_workflow_handle_for(
            EvalRunWorkflow.run, workflow_id=f"eval-run-{run.id}"
        )

    async def page(self, run: EvalRun) -> str:
        """The text on the page of the run's workflow in Temporal."""
        told: WorkflowMetadata = await self.handle(run).query(
            "__temporal_workflow_metadata", result_type=WorkflowMetadata
        )
        return told.current_details

    async def continuations(self, run: EvalRun) -> int:
        """The number of continuations of the run."""
        described = await self.handle(run).describe()
        count, run_id = 0, described.run_id
        while run_id:
            history = await self.client.get_workflow_handle(
                described.id, run_id=run_id
            ).fetch_history()
            started = history.events[0].workflow_execution_started_event_attributes
            run_id = started.continued_execution_run_id
            count += bool(run_id)
        return count

    async def row(self, run: EvalRun) -> EvalRun:
        async with self.database.read() as db:
            return await run_rows.get(db, self.project_id, run.id)

    async def targets(self, run: EvalRun) -> list[OpenTarget]:
        async with self.database.read() as db:
            return await run_pairs.of_targets(db, self.project_id, run, first=0, last=99)

    async def scores(self, run: EvalRun) -> list[Score]:
        async with self.database.read() as db:
            found = await db.execute(
                select(Score)
                .where(col(Score.eval_run_id) == run.id)
                .order_by(col(Score.target_id), col(Score.name))
            )
            return list(found.scalars())


@pytest.fixture
async def stack(temporal_client: Client, sqlite: Database, task_queue: str) -> Stack:
    return Stack(
        client=temporal_client,
        database=sqlite,
        project_id=await make_project(sqlite),
        task_queue=task_queue,
        judges=ScriptedJudges(),
        eval_runs=MaintenanceClient(temporal_client, task_queue=task_queue),
    )


@pytest.fixture(scope="module")
async def skipping() -> AsyncIterator[WorkflowEnvironment]:
    """A Temporal whose time tests can skip, in a time zone with daylight saving time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "America/New_York")
        environment = await WorkflowEnvironment.start_time_skipping_v2(
            # Time passes normally until a test fast-forwards.
            ts_config=TimeSkippingConfig(enabled=False),
            data_converter=pydantic_data_converter,
            dev_server_existing_path=temporal_binary(),
            dev_server_extra_args=[
                "--dynamic-config-value",
                "frontend.WorkflowTimeSkippingEnabled=true",
            ],
            search_attributes=list(temporal_settings.SEARCH_ATTRIBUTES),
        )
    async with environment:
        yield environment


@pytest.fixture
async def skipping_stack(skipping: WorkflowEnvironment, sqlite: Database, task_queue: str) -> Stack:
    return Stack(
        client=skipping.client,
        database=sqlite,
        project_id=await make_project(sqlite),
        task_queue=task_queue,
        judges=ScriptedJudges(),
        eval_runs=MaintenanceClient(skipping.client, task_queue=task_queue),
    )


@pytest.fixture
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shortens pauses between attempts."""
    monkeypatch.setattr(error_translation, "MAX_PAUSE_SECONDS", 0.2)
