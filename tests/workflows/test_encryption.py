"""With a codec, Temporal stores nothing of a run that can be read without the key."""

import asyncio
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from temporalio.api.common.v1 import Payload
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.converter import PayloadCodec, SerializationContext, WithSerializationContext
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner

from core.db.tables import EvalRun
from core.errors import JudgeBusy
from core.ids import RunStatus
from core.temporal.keyring_codec import KeyringCodec
from core.temporal.payload_codec import data_converter
from core.temporal.pending import read_pending
from evals.judges.protocol import Question
from tests.workflows.conftest import METRICS, Stack
from workflows.policies import Limits
from workflows.sandbox_runner import ContextFreeRunner, runner_for

OLD = f"old:{b64encode(b'o' * 32).decode()}"
NEW = f"new:{b64encode(b'n' * 32).decode()}"
WORDS = "Overloaded, says the provider."
IN_BATCHES = Limits(pairs_without_batch=0, pairs_per_batch=3, min_pairs_per_batch=3)


def encrypted(stack: Stack, keys: str) -> Stack:
    return through(stack, KeyringCodec(keys))


def through(stack: Stack, codec: PayloadCodec) -> Stack:
    config = stack.client.config()
    config["data_converter"] = data_converter(codec)
    client = Client(**config)
    made = type(stack.eval_runs)(client, task_queue=stack.task_queue)
    return replace(stack, client=client, eval_runs=made)


async def histories(stack: Stack, run: EvalRun) -> bytes:
    """Everything that Temporal stores of the run and its batches, as it stores it."""
    stored = []
    async for found in stack.client.list_workflows(f"WorkflowId STARTS_WITH 'eval-run-{run.id}'"):
        handle = stack.client.get_workflow_handle(found.id, run_id=found.run_id)
        stored += [event.SerializeToString() async for event in handle.fetch_history_events()]
        described = await handle.describe()
        stored.append(described.raw_description.SerializeToString())
    return b"".join(stored)


@pytest.mark.parametrize("limits", [Limits(), IN_BATCHES], ids=["alone", "in batches"])
async def test_a_run_is_judged_and_temporal_stores_only_encrypted_payloads(
    stack: Stack, limits: Limits
) -> None:
    stack = encrypted(stack, NEW)
    failures = 0

    async def busy_once(_question: Question[Any], times: int) -> None:
        nonlocal failures
        if times == 1:
            failures += 1
            raise JudgeBusy(WORDS, provider="scripted", retry_after=0)

    stack.judges.script = busy_once
    async with stack.worker():
        run = await stack.post(traces=2, limits=limits)
        await stack.handle(run).result()
    assert failures
    assert (await stack.row(run)).status is RunStatus.COMPLETED
    assert len(await stack.scores(run)) == 2 * len(METRICS)
    stored = await histories(stack, run)
    for target in await stack.targets(run):
        assert str(target.target_id).encode() not in stored
    for words in (WORDS, *METRICS):
        assert words.encode() not in stored
    assert b"binary/encrypted" in stored


async def test_what_a_pending_pair_waits_for_is_still_told(stack: Stack) -> None:
    stack = encrypted(stack, NEW)

    async def overloaded(_question: Question[Any], _times: int) -> None:
        raise JudgeBusy(WORDS, provider="scripted", retry_after=30)

    stack.judges.script = overloaded
    async with stack.worker():
        run = await stack.post(traces=1, metric_names=METRICS[:1])
        async with asyncio.timeout(20):
            while not (found := (await read_pending(stack.client, run.id)).activities) or (
                not found[0].has_failed
            ):
                await asyncio.sleep(0.05)
        await stack.handle(run).terminate()
    assert found[0].message == WORDS
    assert found[0].provider == "scripted"


async def test_a_run_under_way_goes_on_across_a_rotation_of_keys(stack: Stack) -> None:
    before = encrypted(stack, OLD)
    run = await before.post(traces=1, wait_seconds=0)
    after = encrypted(stack, f"{NEW},{OLD}")
    async with after.worker():
        await after.handle(run).result()
    described = await after.handle(run).describe()
    assert described.status is WorkflowExecutionStatus.COMPLETED
    assert len(await after.scores(run)) == len(METRICS)


async def test_a_run_under_way_goes_on_when_encryption_is_turned_on(stack: Stack) -> None:
    run = await stack.post(traces=1, wait_seconds=0)
    after = encrypted(stack, NEW)
    async with after.worker():
        await after.handle(run).result()
    assert len(await after.scores(run)) == len(METRICS)


class ByWorkflow(PayloadCodec, WithSerializationContext):
    """Works by the workflow of a payload, as a codec with a key per tenant would."""

    def __init__(self, context: SerializationContext | None = None) -> None:
        self._context = context

    def with_context(self, context: SerializationContext) -> "ByWorkflow":
        return ByWorkflow(context)

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        owner = getattr(self._context, "workflow_id", None) or ""
        return [
            Payload(
                metadata={"encoding": b"owned", "of": owner.encode()}, data=one.SerializeToString()
            )
            for one in payloads
        ]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        owner = getattr(self._context, "workflow_id", None) or ""
        assert all(one.metadata["of"].decode() == owner for one in payloads)
        return [Payload.FromString(one.data) for one in payloads]


def test_the_sandbox_without_contexts_serves_only_codecs_without_contexts() -> None:
    assert isinstance(runner_for(data_converter(None)), ContextFreeRunner)
    assert isinstance(runner_for(data_converter(KeyringCodec(NEW))), ContextFreeRunner)
    runner = runner_for(data_converter(ByWorkflow()))
    assert type(runner) is SandboxedWorkflowRunner


async def test_a_codec_that_works_by_workflow_gets_the_workflow_of_each_payload(
    stack: Stack,
) -> None:
    stack = through(stack, ByWorkflow())
    async with stack.worker():
        run = await stack.post(traces=1)
        await stack.handle(run).result()
    assert len(await stack.scores(run)) == len(METRICS)
