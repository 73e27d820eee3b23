"""Real workflows, activities, store and Temporal; only the judge is scripted."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace

import pytest
from sqlmodel import col, select
from temporalio.api.sdk.v1 import WorkflowMetadata
from temporalio.client import Client, WorkflowHandle

import worker
from activities import failures
from core.database import Database
from core.ids import ProjectId
from core.queries import runs
from core.settings import Settings
from core.tables import EvalRun, Score
from tests.conftest import make_project
from tests.factories import new_run, store_traces
from tests.workflows.judges import ScriptedJudges
from workflows.control import EvalRuns, RunToStart
from workflows.evaluation import EvalRunWorkflow, RunProgress
from workflows.policies import Limits

METRICS = ["step_efficiency", "task_completion", "tool_correctness"]


@dataclass
class Stack:
    """One Assay without its HTTP side."""

    client: Client
    database: Database
    project_id: ProjectId
    task_queue: str
    judges: ScriptedJudges
    eval_runs: EvalRuns

    @asynccontextmanager
    async def worker(self, **settings: object) -> AsyncIterator[None]:
        values = Settings.model_validate(
            {"task_queue": self.task_queue, "shutdown_grace_seconds": 5} | settings
        )
        async with AsyncExitStack() as stack:
            for queue in worker.queues(values, self.database, self.judges, self.client):
                await stack.enter_async_context(queue)
            yield

    async def post(
        self,
        *,
        traces: int,
        wait_seconds: float = 5,
        limits: Limits = Limits(),
        **overrides: object,
    ) -> EvalRun:
        await store_traces(self.database, self.project_id, traces)
        async with self.database.write() as db:
            row = await runs.create(
                db,
                new_run(
                    self.project_id,
                    **({"metric_names": METRICS, "model": "scripted/judge"} | overrides),
                ),
            )
        start = replace(RunToStart.of(row), limits=limits)
        await self.eval_runs.start(start, wait_seconds=wait_seconds)
        return row

    def handle(self, run: EvalRun) -> WorkflowHandle[EvalRunWorkflow, RunProgress]:
        return self.client.get_workflow_handle_for(
            EvalRunWorkflow.run, workflow_id=f"eval-run-{run.id}"
        )

    async def page(self, run: EvalRun) -> str:
        """What an operator reads on the page of the run's workflow."""
        told: WorkflowMetadata = await self.handle(run).query(
            "__temporal_workflow_metadata", result_type=WorkflowMetadata
        )
        return told.current_details

    async def continuations(self, run: EvalRun) -> int:
        """How often the run continued as new, walking back from its last execution."""
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
            return await runs.get(db, self.project_id, run.id)

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
        eval_runs=EvalRuns(temporal_client, task_queue=task_queue),
    )


@pytest.fixture
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is spread over seconds between attempts is spread over a moment."""
    monkeypatch.setattr(failures, "LONGEST_PAUSE", 0.2)
