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
from pathlib import Path
from typing import Any

from temporalio.client import Client, WorkflowFailureError
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment

from core import migrations, temporal
from core.database import Database
from core.errors import JudgeBusy, JudgeUnusable
from core.queries import runs
from core.tables import EvalRun
from evals.judge import Question
from tests.conftest import make_project, temporal_binary
from tests.factories import store_traces
from tests.workflows.conftest import Stack
from tests.workflows.judges import Doors, ScriptedJudges
from tests.workflows.monitoring import Watch
from workflows.control import EvalRuns
from workflows.policies import Limits

FOLDER = Path(__file__).parent / "histories"


async def completed(stack: Stack) -> EvalRun:
    async def busy_once(question: Question[Any], times: int) -> None:
        if times == 1:
            raise JudgeBusy("429", provider="scripted", retry_after=0.1, rate_limited=True)

    stack.judges.script = busy_once
    run = await stack.post(traces=4, limits=Limits(pairs_per_batch=6, batches_open=2))
    await stack.handle(run).result()
    return run


async def continued(stack: Stack) -> EvalRun:
    run = await stack.post(traces=5, limits=Limits(pairs_per_batch=6, batches_per_run=2))
    await stack.handle(run).result()
    return run


async def followed(stack: Stack) -> EvalRun:
    """Each batch makes room for the next before it ends."""
    run = await stack.post(traces=6, limits=Limits(pairs_per_batch=6, batches_open=1))
    await stack.handle(run).result()
    return run


async def stopped(stack: Stack) -> EvalRun:
    async def bad_key(question: Question[Any], times: int) -> None:
        if stack.judges.asked.total() > 4:
            raise JudgeUnusable("Incorrect API key provided.", provider="scripted")

    stack.judges.script = bad_key
    run = await stack.post(traces=4, limits=Limits(pairs_in_flight=2))
    await _failed(stack, run)
    return run


async def cancelled(stack: Stack) -> EvalRun:
    doors = stack.judges.script = Doors()
    run = await stack.post(traces=4, limits=Limits(pairs_in_flight=2))
    await doors.reached.wait()
    async with stack.database.write() as db:
        await runs.request_cancel(db, stack.project_id, run.id)
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
    run = await stack.post(traces=2)
    while "after rate limiting" not in await stack.page(run):
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


SCENARIOS = (completed, continued, followed, stopped, cancelled, held_up)
MONITOR_SCENARIOS = (judged, unchanged, unjudged, interrupted)


async def main(shape: str, names: Sequence[str]) -> None:
    async with await WorkflowEnvironment.start_local(
        dev_server_existing_path=temporal_binary(),
        search_attributes=list(temporal.SEARCH_ATTRIBUTES),
    ) as environment:
        for scenario in SCENARIOS:
            if not names or scenario.__name__ in names:
                async with recorded(environment) as stack:
                    run_id = f"eval-run-{(await scenario(stack)).id}"
                file = f"{shape}-{scenario.__name__}"
                await write(stack.client, run_id, FOLDER / f"{file}-run.json")
                await write(stack.client, f"{run_id}-batch-0", FOLDER / f"{file}-batch.json")
        for of_monitor in MONITOR_SCENARIOS:
            if not names or of_monitor.__name__ in names:
                async with recorded(environment) as stack:
                    monitor_id = await of_monitor(stack)
                file = f"{shape}-{of_monitor.__name__}-monitor.json"
                await write(stack.client, monitor_id, FOLDER / file)


@contextlib.asynccontextmanager
async def recorded(environment: WorkflowEnvironment) -> AsyncIterator[Stack]:
    """An empty stack with a worker."""
    # A name of its own: the default identity tells the machine and the process.
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
            eval_runs=EvalRuns(client, task_queue="assay"),
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
    """Without stack traces: they tell where the recorder's files lie."""
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items() if key != "stackTrace"}
    if isinstance(value, list):
        return [plain(inner) for inner in value]
    return value


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2:]))
