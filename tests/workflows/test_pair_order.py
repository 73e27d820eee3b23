"""Several workers on one run pay for each question once, and progress is reported until the end."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
from temporalio import workflow

from activities.payloads import PairRef, RunRef
from core.temporal import client as temporal_client
from evals.judges.protocol import Question
from tests.factories import store_traces
from tests.workflows.conftest import Stack
from workflows.pair_order import LeadMetricFirst
from workflows.policies import Limits


async def test_two_workers_ask_no_stage_twice(stack: Stack) -> None:
    async def slowly(question: Question[Any], times: int) -> None:
        await asyncio.sleep(0.03)

    stack.judges.script = slowly
    traces = Limits().lead_targets + 5
    for number in range(traces):
        await store_traces(stack.database, stack.project_id, 1, input=f"Cancel order {number}.")
    address = stack.client.service_client.config.target_host
    other = replace(stack, client=await temporal_client.connect(default_address=address))
    async with stack.worker(judge_concurrency=20), other.worker(judge_concurrency=20):
        run = await stack.post(traces=0)
        await stack.handle(run).result()
    asked = stack.judges.asked
    assert len(await stack.scores(run)) == 3 * traces
    assert [key for key, times in asked.items() if times > 1] == []
    # Workers share only the database, not their open calls.
    assert asked.total() < 6 * traces


async def test_a_lane_that_another_lane_forestalls_waits_for_the_next_pair(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waiting: list[tuple[Callable[[], bool], asyncio.Future[None]]] = []

    async def wait_condition(holds: Callable[[], bool]) -> None:
        ended = asyncio.get_running_loop().create_future()
        waiting.append((holds, ended))
        await ended

    def look() -> None:
        """Like the SDK: tests all conditions before any of the waiting lanes goes on."""
        for holds, ended in [one for one in waiting if one[0]()]:
            waiting.remove((holds, ended))
            ended.set_result(None)

    monkeypatch.setattr(workflow, "wait_condition", wait_condition)
    run = RunRef(uuid4(), uuid4())
    targets = [[PairRef(run, target, metric) for metric in "abc"] for target in ("one", "two")]
    order = LeadMetricFirst(targets, lanes_wait=True)
    leads = [await order.take(), await order.take()]
    lanes = [asyncio.create_task(order.take()) for _ in range(4)]
    await asyncio.sleep(0)
    for lead, ended in zip(leads, (2, 4), strict=True):
        assert lead is not None
        order.done(lead)
        look()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert [lane.done() for lane in lanes].count(True) == ended
    assert None not in [lane.result() for lane in lanes]
