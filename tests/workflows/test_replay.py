"""Workflow code of today replays what workflow code of every release recorded."""

import json
from pathlib import Path

import pytest
from temporalio.client import WorkflowHistory
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.converter import WorkflowSerializationContext
from temporalio.worker import Replayer
from temporalio.workflow import NondeterminismError

from tests.workflows.recording import FOLDER
from workflows.batch import EvalBatchWorkflow
from workflows.evaluation import EvalRunWorkflow
from workflows.monitor import MonitorWorkflow
from workflows.sandbox import LeanSandbox

HISTORIES = sorted(FOLDER.glob("*.json"))


def replayer() -> Replayer:
    return Replayer(
        workflows=[EvalRunWorkflow, EvalBatchWorkflow, MonitorWorkflow],
        data_converter=pydantic_data_converter,
        workflow_runner=LeanSandbox(),
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


@pytest.mark.parametrize("path", HISTORIES, ids=lambda path: path.stem)
async def test_a_recorded_history_replays(path: Path) -> None:
    await replayer().replay_workflow(read(path.read_text()))


async def test_a_history_that_this_code_would_not_make_is_refused() -> None:
    recorded = FOLDER / "v1-completed-batch.json"
    events = json.loads(recorded.read_text())
    scheduled = [e for e in events["events"] if "activityTaskScheduledEventAttributes" in e]
    scheduled[0]["activityTaskScheduledEventAttributes"]["activityType"]["name"] = "judge_pair"
    with pytest.raises(NondeterminismError):
        await replayer().replay_workflow(read(json.dumps(events)))
