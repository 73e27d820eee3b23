"""The client of runs when Temporal's SDK or a newer worker answers unexpectedly."""

import asyncio
from typing import Any, cast
from uuid import uuid4

import pytest
from temporalio import workflow
from temporalio.client import Client, WorkflowUpdateRPCTimeoutOrCancelledError
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from core.ids import ProjectId, RunStatus
from core.run_spec import RunSpec
from tests.factories import new_run
from tests.workflows.conftest import Stack
from workflows import run_client
from workflows.inputs import RunProgress
from workflows.run_client import EvalRunClient


class BrokenConverter(Exception):
    pass


class UnforeseenlyFailing:
    """Fails like the SDK with a codec that raises: the handle of the start never arrives."""

    async def execute_update_with_start_workflow(self, *_args: Any, **_options: Any) -> None:
        raise BrokenConverter


async def test_a_start_that_fails_in_an_unforeseen_way_fails_at_once(
    monkeypatch: pytest.MonkeyPatch, stack: Stack
) -> None:
    monkeypatch.setattr(run_client, "HANDLE_SECONDS", 0.01)
    runs = EvalRunClient(cast("Client", UnforeseenlyFailing()), task_queue="q")
    spec = new_run(stack.project_id).spec
    assert isinstance(spec, RunSpec)
    async with asyncio.timeout(5) as limit:
        with pytest.raises(BrokenConverter):
            await runs.start(spec, wait_seconds=60)
    assert not limit.expired()


class NeverAnswering:
    """Replaces a cancellation by an error of its own, like the SDK."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()

    async def execute_update_with_start_workflow(self, *_args: Any, **_options: Any) -> None:
        self.asked.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError as error:
            raise WorkflowUpdateRPCTimeoutOrCancelledError from error


async def test_a_cancelled_start_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_client, "HANDLE_SECONDS", 0.01)
    client = NeverAnswering()
    runs = EvalRunClient(cast("Client", client), task_queue="q")
    starting = asyncio.create_task(runs.start(new_run(ProjectId(uuid4())).spec, wait_seconds=60))
    await client.asked.wait()
    starting.cancel()
    await asyncio.wait([starting], timeout=5)
    assert starting.cancelled()


async def test_a_start_that_is_cancelled_while_it_waits_for_the_handle_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(run_client, "HANDLE_SECONDS", 60)
    client = NeverAnswering()
    runs = EvalRunClient(cast("Client", client), task_queue="q")
    starting = asyncio.create_task(runs.start(new_run(ProjectId(uuid4())).spec, wait_seconds=0.01))
    await client.asked.wait()
    await asyncio.wait([starting], timeout=0.2)  # its time is over, and it waits for the handle
    starting.cancel()
    await asyncio.wait([starting], timeout=5)
    assert starting.cancelled()


async def test_no_wait_for_the_handle_outlives_a_start_that_is_cancelled_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(run_client, "HANDLE_SECONDS", 60)
    client = NeverAnswering()
    runs = EvalRunClient(cast("Client", client), task_queue="q")
    before = asyncio.all_tasks()
    starting = asyncio.create_task(runs.start(new_run(ProjectId(uuid4())).spec, wait_seconds=60))
    await client.asked.wait()
    starting.cancel()
    async with asyncio.timeout(5):
        while not asyncio.all_tasks() - before - {starting}:
            await asyncio.sleep(0)  # until it waits for the handle
        starting.cancel()
        await asyncio.wait([starting])
    assert starting.cancelled()
    assert asyncio.all_tasks() == before


PROGRESS = RunProgress(RunStatus.RUNNING, total_targets=4, evaluated_count=1, failed_count=0)


class Answering:
    """Answers each query at once."""

    def get_workflow_handle_for(self, *_args: Any, **_options: Any) -> "Answering":
        return self

    async def query(self, *_args: Any, **_options: Any) -> RunProgress:
        return PROGRESS


async def test_an_answer_counts_although_the_reason_for_a_wait_comes_too_late(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def describing(*_args: Any) -> str | None:
        return await asyncio.get_running_loop().create_future()  # type: ignore[no-any-return]  # never

    monkeypatch.setattr(run_client, "describe_wait", describing)
    monkeypatch.setattr(run_client, "QUERY_SECONDS", 0.02)
    runs = EvalRunClient(cast("Client", Answering()), task_queue="q")
    assert await runs.progress(uuid4()) == PROGRESS


@workflow.defn(name="EvalRunWorkflow")
class OfANewerRelease:
    """Answers with a status that this release does not know."""

    @workflow.run
    async def run(self) -> None:
        await workflow.wait_condition(lambda: False)

    @workflow.query
    def progress(self) -> dict[str, Any]:
        return {
            "status": "HIBERNATING",
            "total_targets": 1,
            "evaluated_count": 0,
            "failed_count": 0,
        }


async def test_an_answer_of_a_newer_worker_that_means_nothing_here_is_no_answer(
    stack: Stack,
) -> None:
    run_id = uuid4()
    async with Worker(
        stack.client,
        task_queue=stack.task_queue,
        workflows=[OfANewerRelease],
        workflow_runner=UnsandboxedWorkflowRunner(),
    ):
        handle = await stack.client.start_workflow(
            OfANewerRelease.run, id=f"eval-run-{run_id}", task_queue=stack.task_queue
        )
        assert (await handle.query(OfANewerRelease.progress))["status"] == "HIBERNATING"
        assert await stack.eval_runs.progress(run_id) is None
        await handle.terminate()


async def test_a_workflow_that_was_ended_in_temporal_is_known_as_closed_after_a_query(
    stack: Stack,
) -> None:
    run = await stack.post(traces=1)
    assert not stack.eval_runs.is_closed(run.id)
    await stack.handle(run).terminate()
    assert await stack.eval_runs.progress(run.id) is None
    assert stack.eval_runs.is_closed(run.id)
