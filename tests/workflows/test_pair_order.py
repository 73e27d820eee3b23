"""Several workers on one run pay for each question once, and progress is reported until the end."""

import asyncio
from dataclasses import replace
from typing import Any

from core.temporal import client as temporal_client
from evals.judges.protocol import Question
from tests.factories import store_traces
from tests.workflows.conftest import Stack
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
