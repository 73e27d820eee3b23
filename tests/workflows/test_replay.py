"""The current workflow code replays the recorded histories of every release."""

import json
from pathlib import Path

import pytest
from temporalio.client import WorkflowHistory
from temporalio.contrib.opentelemetry import TracingInterceptor
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.converter import WorkflowSerializationContext
from temporalio.worker import Interceptor, Replayer
from temporalio.workflow import NondeterminismError

import worker
from tests.workflows.recording import FOLDER
from workflows.sandbox_runner import ContextFreeRunner

HISTORIES = sorted(FOLDER.glob("*.json"))


def replayer(*interceptors: Interceptor) -> Replayer:
    return Replayer(
        workflows=worker.WORKFLOWS,
        data_converter=pydantic_data_converter,
        workflow_runner=ContextFreeRunner(),
        interceptors=interceptors,
    )


def read(text: str) -> WorkflowHistory:
    started = json.loads(text)["events"][0]["workflowExecutionStartedEventAttributes"]
    return WorkflowHistory.from_json(started["workflowId"], text)


def test_no_payload_of_ours_depends_on_the_context_it_is_made_in() -> None:
    converter = pydantic_data_converter
    within = converter.with_context(WorkflowSerializationContext("default", "a-run"))
    assert within.payload_converter is converter.payload_converter
    assert within.failure_converter is converter.failure_converter
    assert converter.payload_codec is None


def test_there_are_histories_of_every_way_a_run_or_a_monitor_ends() -> None:
    ways = {path.stem.split("-")[1] for path in HISTORIES}
    assert ways >= {"completed", "continued", "followed", "stopped", "cancelled", "held_up"}
    assert ways >= {"judged", "unchanged", "unjudged", "interrupted"}


def test_there_is_a_history_of_every_workflow_that_a_worker_serves() -> None:
    recorded = set()
    for path in HISTORIES:
        started = json.loads(path.read_text())["events"][0]
        recorded.add(started["workflowExecutionStartedEventAttributes"]["workflowType"]["name"])
    assert len(recorded) == len(worker.WORKFLOWS)


@pytest.mark.parametrize("path", HISTORIES, ids=lambda path: path.stem)
async def test_a_recorded_history_replays(path: Path) -> None:
    await replayer().replay_workflow(read(path.read_text()))


@pytest.mark.parametrize("name", ["v1-completed-run", "v1-continued-batch", "v1-judged-monitor"])
async def test_a_history_from_before_tracing_replays_with_it(name: str) -> None:
    traced = replayer(TracingInterceptor(always_create_workflow_spans=True))
    await traced.replay_workflow(read((FOLDER / f"{name}.json").read_text()))


async def test_a_history_that_this_code_would_not_make_is_refused() -> None:
    recorded = FOLDER / "v1-completed-batch.json"
    events = json.loads(recorded.read_text())
    scheduled = [e for e in events["events"] if "activityTaskScheduledEventAttributes" in e]
    scheduled[0]["activityTaskScheduledEventAttributes"]["activityType"]["name"] = "judge_pair"
    with pytest.raises(NondeterminismError):
        await replayer().replay_workflow(read(json.dumps(events)))
