"""Runs that reach their budget pause, and continue when they are resumed."""

import asyncio

import pytest
from sqlalchemy import event

from core.db.tables import EvalRun
from core.ids import RunStatus, TargetType
from core.queries import budget_states, open_runs, run_pauses, run_rows
from core.queries.budget_states import BudgetState
from tests.factories import store_traces
from tests.fakes import FakeEmbedder
from tests.workflows.conftest import METRICS, Stack
from tests.workflows.judges import BILLED_TOKENS, MOST_TOKENS
from workflows.maintenance.budgets import resume_runs
from workflows.policies import Limits

TWO_CALLS = BILLED_TOKENS + MOST_TOKENS
"""After two calls a third call does not fit, whatever its bill will be."""

IN_BATCHES = Limits(
    pairs_without_batch=0,
    pairs_per_batch=6,
    min_pairs_per_batch=6,
    batches_open=2,
    batches_per_run=2,
)


async def paused(stack: Stack, run: EvalRun) -> EvalRun:
    async with asyncio.timeout(20):
        while (row := await stack.row(run)).paused_at is None or not await page_says(
            stack, run, "paused"
        ):
            await asyncio.sleep(0.05)
    return row


async def page_says(stack: Stack, run: EvalRun, word: str) -> bool:
    return word in await stack.page(run)


async def resumed(stack: Stack, run: EvalRun, max_tokens: int) -> None:
    async with stack.database.write() as db:
        await run_pauses.resume(
            db, stack.project_id, run.id, max_cost_usd=None, max_tokens=max_tokens
        )


async def budget(stack: Stack, run: EvalRun) -> BudgetState:
    async with stack.database.read() as db:
        return (await budget_states.states(db, [run.id]))[run.id]


@pytest.mark.parametrize("limits", [Limits(), IN_BATCHES], ids=["small", "in batches"])
async def test_a_run_pauses_at_its_budget_and_judges_the_rest_once_it_is_raised(
    stack: Stack, limits: Limits
) -> None:
    async with stack.worker():
        run = await stack.post(traces=8, limits=limits, max_tokens=TWO_CALLS)
        row = await paused(stack, run)
        assert row.status is RunStatus.RUNNING
        assert stack.judges.asked.total() == 2
        state = await budget(stack, run)
        assert (state.spent_tokens, state.open_tokens) == (2 * BILLED_TOKENS, 0)
        progress = await stack.handle(run).query("progress", result_type=None)
        assert progress["paused"]
        await resumed(stack, run, 8 * MOST_TOKENS)
        await stack.eval_runs.resume(run.id)
        await stack.handle(run).result()
    assert (await stack.row(run)).status is RunStatus.COMPLETED
    assert set(stack.judges.asked.values()) == {1}
    assert (await budget(stack, run)).spent_tokens == (stack.judges.asked.total() * BILLED_TOKENS)


async def test_a_run_without_a_budget_executes_no_statement_about_budgets(stack: Stack) -> None:
    statements: list[str] = []

    def listen(_c: object, _cursor: object, statement: str, *_: object) -> None:
        statements.append(statement)

    engine = stack.database.engine.sync_engine
    event.listen(engine, "before_cursor_execute", listen)
    try:
        async with stack.worker():
            run = await stack.post(traces=2)
            await stack.handle(run).result()
    finally:
        event.remove(engine, "before_cursor_execute", listen)
    assert len(statements) > 10
    assert [one for one in statements if "budget_account" in one or "budget_hold" in one] == []


async def test_a_paused_run_takes_no_room_and_is_cancelled_at_once(stack: Stack) -> None:
    async with stack.worker():
        run = await stack.post(traces=3, max_tokens=TWO_CALLS)
        await paused(stack, run)
        assert (await stack.handle(run).describe()).raw_description.pending_activities == []
        async with stack.database.write() as db:
            assert await open_runs.count_open(db, stack.project_id) == 0
            await run_rows.request_cancel(db, stack.project_id, run.id)
        await stack.eval_runs.cancel(run.id)
        async with asyncio.timeout(5):
            while not (await stack.row(run)).status.terminal:
                await asyncio.sleep(0.05)
    assert (await stack.row(run)).error_message == run_rows.CANCELLED


async def test_a_paused_run_survives_its_worker_and_a_resume_that_told_nobody(
    stack: Stack,
) -> None:
    async with stack.worker():
        run = await stack.post(traces=3, limits=IN_BATCHES, max_tokens=TWO_CALLS)
        await paused(stack, run)
    await resumed(stack, run, 10 * MOST_TOKENS)
    async with stack.worker():
        await resume_runs(stack.database, stack.eval_runs)
        await stack.handle(run).result()
    row = await stack.row(run)
    assert (row.status, row.resume_requested_at) == (RunStatus.COMPLETED, None)


async def test_a_budget_raised_too_little_pauses_the_run_again(stack: Stack) -> None:
    async with stack.worker():
        run = await stack.post(traces=4, max_tokens=TWO_CALLS)
        await paused(stack, run)
        await resumed(stack, run, TWO_CALLS + BILLED_TOKENS)
        await stack.eval_runs.resume(run.id)
        async with asyncio.timeout(10):
            while len(await stack.scores(run)) < 3 * len(METRICS):
                await asyncio.sleep(0.05)
        await paused(stack, run)
        await resumed(stack, run, 10 * MOST_TOKENS)
        await stack.eval_runs.resume(run.id)
        await stack.handle(run).result()
    assert (await stack.row(run)).status is RunStatus.COMPLETED


async def test_a_run_over_sessions_pauses_and_keeps_the_signals_it_has(stack: Stack) -> None:
    stack.judges.embeds = FakeEmbedder()
    async with stack.worker():
        await store_traces(stack.database, stack.project_id, 3, session_id="s")
        run = await stack.post(
            traces=0,
            target_type=TargetType.SESSION,
            metric_names=["agent_reliability"],
            max_tokens=TWO_CALLS,
        )
        await paused(stack, run)
        asked = stack.judges.asked.total()
        assert asked == 2
        await resumed(stack, run, 30 * MOST_TOKENS)
        await stack.eval_runs.resume(run.id)
        await stack.handle(run).result()
    assert (await stack.row(run)).status is RunStatus.COMPLETED
    assert set(stack.judges.asked.values()) == {1}
