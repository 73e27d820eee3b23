"""Records histories for the replay tests: `python -m tests.workflows.recording <shape> [name …]`.

`shape` names the released shape of the workflows, such as `v1`; without names,
every scenario is recorded. A recorded file is never changed: later code must
replay it, or be guarded by `workflow.patched`.
"""

import asyncio
import contextlib
import json
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from temporalio.client import Client, WorkflowFailureError
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment

from activities.retention import sweeping, write_pace
from core import clock, migrations
from core.db.database import Database
from core.db.tables import EvalRun
from core.errors import JudgeBusy, JudgeUnusable
from core.queries import projects, run_pauses, run_rows
from core.temporal import client as temporal_client
from evals.judges.protocol import Question
from tests.activities.retention.ages import traces_from
from tests.conftest import make_project, temporal_binary
from tests.factories import store_traces
from tests.workflows.comparing import pending_comparison
from tests.workflows.conftest import Stack
from tests.workflows.judges import MOST_TOKENS, Doors, ScriptedJudges
from tests.workflows.monitoring import Watch
from workflows.comparison_client import ComparisonClient
from workflows.maintenance.stalled_runs import StalledRuns
from workflows.maintenance_client import MaintenanceClient
from workflows.policies import Limits
from workflows.project_client import ProjectDeletions
from workflows.retention import RetentionWorkflow, SweepState

FOLDER = Path(__file__).parent / "histories"


async def completed(stack: Stack) -> EvalRun:
    async def busy_once(question: Question[Any], times: int) -> None:
        if times == 1:
            raise JudgeBusy("429", provider="scripted", retry_after=0.1, rate_limited=True)

    stack.judges.script = busy_once
    run = await stack.post(
        traces=4, limits=Limits(pairs_without_batch=0, pairs_per_batch=6, batches_open=2)
    )
    await stack.handle(run).result()
    return run


async def continued(stack: Stack) -> EvalRun:
    run = await stack.post(
        traces=5,
        limits=Limits(
            pairs_without_batch=0, pairs_per_batch=6, batches_per_run=2, activity_in_memo=True
        ),
    )
    await stack.handle(run).result()
    return run


async def followed(stack: Stack) -> EvalRun:
    """Batches that make room for the next batch before they end."""
    run = await stack.post(
        traces=6, limits=Limits(pairs_without_batch=0, pairs_per_batch=6, batches_open=1)
    )
    await stack.handle(run).result()
    return run


async def stopped(stack: Stack) -> EvalRun:
    async def bad_key(question: Question[Any], times: int) -> None:
        if stack.judges.asked.total() > 2:
            raise JudgeUnusable("Incorrect API key provided.", provider="scripted")

    stack.judges.script = bad_key
    run = await stack.post(traces=4, limits=Limits(pairs_without_batch=0, pairs_in_flight=2))
    await _failed(stack, run)
    return run


async def cancelled(stack: Stack) -> EvalRun:
    doors = stack.judges.script = Doors()
    run = await stack.post(traces=4, limits=Limits(pairs_without_batch=0, pairs_in_flight=2))
    await doors.reached.wait()
    async with stack.database.write() as db:
        await run_rows.request_cancel(db, stack.project_id, run.id)
    await stack.eval_runs.cancel(run.id)
    await _failed(stack, run)
    doors.open.set()
    return run


async def held_up(stack: Stack) -> EvalRun:
    mended = asyncio.Event()

    async def limited(question: Question[Any], times: int) -> None:
        if not mended.is_set():
            raise JudgeBusy("429", provider="scripted", retry_after=1.0, rate_limited=True)

    stack.judges.script = limited
    limits = Limits(pairs_without_batch=0, activity_in_memo=True)
    run = await stack.post(traces=2, limits=limits)
    stalled = StalledRuns(stack.database, stack.eval_runs, min_age_seconds=0.0)
    while "after rate limiting" not in await stack.page(run):
        await stalled.inspect()
        await asyncio.sleep(0.2)
    mended.set()
    await stack.handle(run).result()
    return run


async def _failed(stack: Stack, run: EvalRun) -> None:
    try:
        await stack.handle(run).result()
    except WorkflowFailureError:
        return
    raise AssertionError("The run was meant to fail.")


async def judged(stack: Stack) -> str:
    await store_traces(stack.database, stack.project_id, 2)
    handle = await (await Watch.over(stack)).start("due")
    await handle.result()
    return handle.id


async def unchanged(stack: Stack) -> str:
    handle = await (await Watch.over(stack)).start("due")
    await handle.result()
    return handle.id


async def unjudged(stack: Stack) -> str:
    async def bad_key(question: Question[Any], times: int) -> None:
        raise JudgeUnusable("Incorrect API key provided.", provider="scripted")

    stack.judges.script = bad_key
    return await judged(stack)


async def interrupted(stack: Stack) -> str:
    doors = stack.judges.script = Doors()
    await store_traces(stack.database, stack.project_id, 2)
    handle = await (await Watch.over(stack)).start("due")
    await doors.reached.wait()
    await handle.cancel()
    with contextlib.suppress(WorkflowFailureError):
        await handle.result()
    doors.open.set()
    return handle.id


async def small(stack: Stack) -> EvalRun:
    """A run without batches."""
    run = await stack.post(traces=3)
    await stack.handle(run).result()
    return run


async def known(stack: Stack) -> EvalRun:
    """A run that is started with its pairs."""
    run = await stack.post(traces=3, with_pairs=True)
    await stack.handle(run).result()
    return run


async def paused(stack: Stack) -> EvalRun:
    """A run that reaches its budget in a batch, and is resumed."""
    limits = Limits(pairs_without_batch=0, pairs_per_batch=6, min_pairs_per_batch=6, batches_open=1)
    run = await stack.post(traces=2, limits=limits, max_tokens=MOST_TOKENS - 1)
    while "paused" not in await stack.page(run):
        await asyncio.sleep(0.1)
    async with stack.database.write() as db:
        await run_pauses.resume(
            db, stack.project_id, run.id, max_cost_usd=None, max_tokens=100 * MOST_TOKENS
        )
    await stack.eval_runs.resume(run.id)
    await stack.handle(run).result()
    return run


async def compared(stack: Stack) -> str:
    row = await pending_comparison(stack)
    comparisons = ComparisonClient(stack.client, task_queue=stack.task_queue)
    await comparisons.start(stack.project_id, row.id)
    await stack.client.get_workflow_handle(f"comparison-{row.id}").result()
    return f"comparison-{row.id}"


async def incomparable(stack: Stack) -> str:
    """A comparison that fails finally; its row records the failure."""
    row = await pending_comparison(stack)
    async with stack.database.write() as db:
        broken = await db.merge(row)
        broken.settings = broken.settings | {"pair_by": "no rule"}
    comparisons = ComparisonClient(stack.client, task_queue=stack.task_queue)
    await comparisons.start(stack.project_id, row.id)
    await stack.client.get_workflow_handle(f"comparison-{row.id}").result()
    return f"comparison-{row.id}"


async def deleted(stack: Stack) -> str:
    """A project."""
    await store_traces(stack.database, stack.project_id, 2)
    await ProjectDeletions(stack.client, task_queue=stack.task_queue).start(stack.project_id)
    handle = stack.client.get_workflow_handle(f"project-deletion-{stack.project_id}")
    await handle.result()
    return handle.id


async def swept(stack: Stack) -> str:
    """Expired traces of two projects, one of which needs more than one execution."""
    old = clock.now() - timedelta(days=9)
    other = await make_project(stack.database, "other")
    for project_id, count in ((stack.project_id, 3), (other, 1)):
        await traces_from(stack.database, project_id, count, old)
        async with stack.database.write() as db:
            await projects.change(db, project_id, {"retention_traces_days": 7})
    sweeping.TURN_SECONDS, write_pace.MIN_ROWS, write_pace.MAX_ROWS = 0.0, 1, 1  # type: ignore[misc]  # one trace per turn
    workflow_id = "retention-assay"
    await stack.client.execute_workflow(
        RetentionWorkflow.run,
        SweepState(turns_per_execution=3),
        id=workflow_id,
        task_queue=stack.task_queue,
    )
    return workflow_id


SMALL_SCENARIOS = (small, known)
SCENARIOS = (completed, continued, followed, stopped, cancelled, held_up, paused)
NAMED_SCENARIOS = {
    "monitor": (judged, unchanged, unjudged, interrupted),
    "comparison": (compared, incomparable),
    "project": (deleted,),
    "retention": (swept,),
}
"""Scenarios by the kind of workflow; each returns the id of its workflow."""


async def main(shape: str, names: Sequence[str]) -> None:
    async with await WorkflowEnvironment.start_local(
        dev_server_existing_path=temporal_binary(),
        search_attributes=list(temporal_client.SEARCH_ATTRIBUTES),
    ) as environment:
        for scenario in SCENARIOS:
            if not names or scenario.__name__ in names:
                async with recorded(environment) as stack:
                    run_id = f"eval-run-{(await scenario(stack)).id}"
                file = f"{shape}-{scenario.__name__}"
                await write(stack.client, run_id, FOLDER / f"{file}-run.json")
                await write(stack.client, f"{run_id}-batch-0", FOLDER / f"{file}-batch.json")
        for of_small in SMALL_SCENARIOS:
            if not names or of_small.__name__ in names:
                async with recorded(environment) as stack:
                    run_id = f"eval-run-{(await of_small(stack)).id}"
                await write(stack.client, run_id, FOLDER / f"{shape}-{of_small.__name__}-run.json")
        for kind, scenarios in NAMED_SCENARIOS.items():
            for named in scenarios:
                if not names or named.__name__ in names:
                    async with recorded(environment) as stack:
                        workflow_id = await named(stack)
                    file = f"{shape}-{named.__name__}-{kind}.json"
                    await write(stack.client, workflow_id, FOLDER / file)


@contextlib.asynccontextmanager
async def recorded(environment: WorkflowEnvironment) -> AsyncIterator[Stack]:
    """An empty stack with a worker."""
    # A fixed name, because the default identity reveals the machine and the process.
    client = await Client.connect(
        environment.client.service_client.config.target_host,
        data_converter=pydantic_data_converter,
        identity="recorder",
    )
    with tempfile.TemporaryDirectory() as folder:
        database = Database(f"sqlite:///{folder}/assay.db")
        await migrations.upgrade(database)
        stack = Stack(
            client=client,
            database=database,
            project_id=await make_project(database),
            task_queue="assay",
            judges=ScriptedJudges(),
            eval_runs=MaintenanceClient(client, task_queue="assay"),
        )
        async with stack.worker():
            yield stack
        await database.close()


async def write(client: Client, workflow_id: str, path: Path) -> None:
    described = await client.get_workflow_handle(workflow_id).describe()
    history = await client.get_workflow_handle(
        workflow_id, run_id=described.raw_description.workflow_execution_info.first_run_id
    ).fetch_history()
    path.write_text(json.dumps(plain(json.loads(history.to_json())), indent=1) + "\n")


def plain(value: Any) -> Any:
    """Without stack traces, which reveal paths of the recorder's machine."""
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items() if key != "stackTrace"}
    if isinstance(value, list):
        return [plain(inner) for inner in value]
    return value


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2:]))
