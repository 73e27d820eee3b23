"""A run that is paused for a day continues as if no time had passed."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.client import WorkflowHandle
from temporalio.testing import WorkflowEnvironment

from core import clock
from core.db.tables import EvalRun
from core.ids import RunStatus
from tests.workflows.conftest import METRICS, Stack
from tests.workflows.judges import BILLED_TOKENS, MOST_TOKENS
from tests.workflows.test_budgets import IN_BATCHES, TWO_CALLS, budget, paused, resumed
from workflows.policies import Limits

DAY = timedelta(days=1)
TRACES = 8
SKIPPED = EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TIME_SKIPPING_TRANSITIONED

_TODAY = clock.now


def a_day_later() -> datetime:
    return _TODAY() + DAY


pytestmark = pytest.mark.slow


async def judging_workflows(stack: Stack, run: EvalRun) -> list[WorkflowHandle[Any, Any]]:
    """The open batches, or the run itself if it has none.

    Temporal skips no time for a workflow with open children.
    """
    await check_nothing_ends_it(stack.handle(run))
    described = (await stack.handle(run).describe()).raw_description
    children = [
        stack.client.get_workflow_handle(one.workflow_id) for one in described.pending_children
    ]
    return children or [stack.handle(run)]


async def check_nothing_ends_it(handle: WorkflowHandle[Any, Any]) -> None:
    """Checks that there is no time-out, no timer and no open activity, so that only a signal
    continues the workflow.
    """
    described = (await handle.describe()).raw_description
    config = described.execution_config
    assert not config.workflow_execution_timeout.ToTimedelta()
    assert not config.workflow_run_timeout.ToTimedelta()
    assert not described.pending_activities
    assert EventType.EVENT_TYPE_TIMER_STARTED not in await happened(handle)


async def happened(handle: WorkflowHandle[Any, Any]) -> set[int]:
    """The types of the events in the history."""
    return {event.event_type for event in (await handle.fetch_history()).events}


@pytest.mark.parametrize("limits", [Limits(), IN_BATCHES], ids=["small", "in batches"])
async def test_a_run_that_is_resumed_after_a_day_has_one_score_for_each_pair(
    skipping: WorkflowEnvironment,
    skipping_stack: Stack,
    limits: Limits,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stack = skipping_stack
    async with stack.worker():
        run = await stack.post(traces=TRACES, limits=limits, max_tokens=TWO_CALLS)
        await paused(stack, run)
        for handle in await judging_workflows(stack, run):
            await check_nothing_ends_it(handle)
            async with asyncio.timeout(20):
                await skipping.fast_forward(handle, DAY)
            assert SKIPPED in await happened(handle)
        monkeypatch.setattr(clock, "now", a_day_later)
        row = await stack.row(run)
        assert (row.status, row.paused_at is not None) == (RunStatus.RUNNING, True)
        await resumed(stack, run, TRACES * MOST_TOKENS)
        await stack.eval_runs.resume(run.id)
        await stack.handle(run).result()
    assert (await stack.row(run)).status is RunStatus.COMPLETED
    scores = await stack.scores(run)
    assert len(scores) == len({(one.target_id, one.name) for one in scores})
    assert len(scores) == TRACES * len(METRICS)
    assert set(stack.judges.asked.values()) == {1}
    assert (await budget(stack, run)).spent_tokens == stack.judges.asked.total() * BILLED_TOKENS
