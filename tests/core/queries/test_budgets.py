"""Budgets: reserved before a call, settled to the bill, and never exceeded."""

import asyncio
from datetime import timedelta
from uuid import UUID

import pytest

from core import clock
from core.db.database import Database
from core.db.tables import EvalRun, Project
from core.errors import Conflict, Invalid
from core.ids import PausedBy, ProjectId, RunStatus
from core.money import units, usd
from core.queries import budget_accounts, budget_states, budgets, run_pairs, run_pauses, run_rows
from core.queries.budget_states import BudgetState
from core.queries.budgets import HOLD_SECONDS, Amount, BudgetRefusal, Reservation, Settlement
from core.usage import Usage
from tests.factories import new_run, new_score

CALL = Amount(units(0.01), 1_000)


async def make_run(database: Database, project_id: ProjectId, **budget: object) -> UUID:
    async with database.write() as db:
        run = await run_rows.create(db, new_run(project_id, **budget))
        run.status = RunStatus.RUNNING
        return run.id


def call(project_id: ProjectId, run_id: UUID, most: Amount = CALL, **more: object) -> Reservation:
    return Reservation(project_id, run_id, most, **{"of_run": True, **more})  # type: ignore[arg-type]  # a test names only what matters


async def reserved(
    database: Database, worker: str, *asked: Reservation
) -> list[BudgetRefusal | None]:
    async with database.write() as db:
        refused = await budgets.reserve(db, worker, asked)
    return [refused.get(one) for one in asked]


async def settled(database: Database, worker: str, one: Reservation, billed: Amount | None) -> None:
    async with database.write() as db:
        await budgets.settle(db, worker, [Settlement(one, billed)])


async def state(database: Database, account_id: UUID) -> BudgetState:
    async with database.read() as db:
        return (await budget_states.states(db, [account_id]))[account_id]


async def read_run(database: Database, project_id: ProjectId, run_id: UUID) -> EvalRun:
    async with database.read() as db:
        return await run_rows.get(db, project_id, run_id)


async def test_workers_that_race_never_reserve_more_than_the_budget(
    database: Database, project_id: ProjectId
) -> None:
    run_id = await make_run(database, project_id, max_cost_usd=0.25)
    asked = [call(project_id, run_id) for _ in range(60)]
    found = await asyncio.gather(
        *(reserved(database, f"worker {n % 2}", *asked[n : n + 3]) for n in range(0, 60, 3))
    )
    granted = sum(refusal is None for answers in found for refusal in answers)
    assert granted == 25
    assert all(
        refusal == BudgetRefusal(calls_open=True) for one in found for refusal in one if refusal
    )
    assert (await state(database, run_id)).open_usd == 0.25
    assert (await read_run(database, project_id, run_id)).paused_at is None


async def test_what_a_call_was_not_billed_is_free_for_the_next(
    database: Database, project_id: ProjectId
) -> None:
    run_id = await make_run(database, project_id, max_cost_usd=0.02)
    first, second = call(project_id, run_id), call(project_id, run_id)
    assert await reserved(database, "a", first, second) == [None, None]
    third = call(project_id, run_id)
    assert await reserved(database, "b", third) == [BudgetRefusal(calls_open=True)]
    await settled(database, "a", first, Amount(0, 0))
    assert await reserved(database, "b", third) == [None]


async def test_a_call_that_does_not_fit_with_none_open_pauses_the_run(
    database: Database, project_id: ProjectId
) -> None:
    run_id = await make_run(database, project_id, max_tokens=1_500)
    first = call(project_id, run_id)
    assert await reserved(database, "a", first) == [None]
    await settled(database, "a", first, Amount(units(0.001), 800))
    assert await reserved(database, "a", call(project_id, run_id)) == [
        BudgetRefusal(calls_open=False)
    ]
    run = await read_run(database, project_id, run_id)
    assert (run.paused_by, run.status) == (PausedBy.RUN, RunStatus.RUNNING)
    now = await state(database, run_id)
    assert (now.spent_tokens, now.open_tokens, now.refused_tokens) == (800, 0, 1_000)


async def test_a_smaller_call_still_fits_behind_one_that_does_not(
    database: Database, project_id: ProjectId
) -> None:
    run_id = await make_run(database, project_id, max_cost_usd=0.005)
    small = call(project_id, run_id, Amount(units(0.004), 10))
    assert await reserved(database, "a", call(project_id, run_id), small) == [
        BudgetRefusal(calls_open=True),
        None,
    ]


async def test_calls_of_a_killed_worker_count_as_spent_and_block_nothing(
    database: Database, project_id: ProjectId, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = await make_run(database, project_id, max_cost_usd=0.015)
    lost = call(project_id, run_id)
    assert await reserved(database, "killed", lost) == [None]
    later = clock.now() + timedelta(seconds=HOLD_SECONDS + 1)
    monkeypatch.setattr(clock, "now", lambda: later)
    assert await reserved(database, "b", call(project_id, run_id)) == [
        BudgetRefusal(calls_open=False)
    ]
    now = await state(database, run_id)
    assert (now.spent_usd, now.open_usd, now.uncertain_usd) == (0.01, 0.0, 0.01)
    # The worker was only silent, so its bill replaces the reservation that counted as lost.
    await settled(database, "killed", lost, Amount(units(0.002), 100))
    now = await state(database, run_id)
    assert (now.spent_usd, now.uncertain_usd) == (0.002, 0.0)


async def test_a_worker_that_renews_keeps_its_calls_open(
    database: Database, project_id: ProjectId, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = await make_run(database, project_id, max_cost_usd=0.015)
    assert await reserved(database, "a", call(project_id, run_id)) == [None]
    for _ in range(3):
        later = clock.now() + timedelta(seconds=HOLD_SECONDS * 0.7)
        monkeypatch.setattr(clock, "now", lambda later=later: later)
        async with database.write() as db:
            await budgets.renew(db, "a")
    assert await reserved(database, "b", call(project_id, run_id)) == [
        BudgetRefusal(calls_open=True)
    ]


async def test_a_call_nobody_saw_the_end_of_counts_in_full(
    database: Database, project_id: ProjectId
) -> None:
    run_id = await make_run(database, project_id, max_cost_usd=1.0)
    cut_off = call(project_id, run_id)
    await reserved(database, "a", cut_off)
    await settled(database, "a", cut_off, None)
    now = await state(database, run_id)
    assert (now.spent_usd, now.open_usd, now.uncertain_usd) == (0.01, 0.0, 0.01)


async def test_a_bill_above_its_reservation_is_counted_and_noted(
    database: Database, project_id: ProjectId
) -> None:
    run_id = await make_run(database, project_id, max_cost_usd=1.0)
    one = call(project_id, run_id)
    await reserved(database, "a", one)
    await settled(database, "a", one, Amount(units(0.03), 5_000))
    now = await state(database, run_id)
    assert (now.spent_usd, now.spent_tokens, now.overbilled_usd) == (0.03, 5_000, 0.02)


async def test_a_month_begins_with_what_its_scores_have_cost(
    database: Database, project_id: ProjectId
) -> None:
    run_id = await make_run(database, project_id)
    month = budget_accounts.month_of(clock.now())
    async with database.write() as db:
        run = await run_rows.get(db, project_id, run_id)
        await run_pairs.record(db, [new_score(run, "one", usage=Usage(calls=1, cost_usd=0.3))])
        project = await db.get(Project, project_id)
        assert project is not None
        project.monthly_budget_usd = 0.305
        await budget_accounts.set_month_limit(db, project_id, 0.305)
    beyond = call(project_id, run_id, of_run=False, month=month)
    assert await reserved(database, "a", beyond) == [BudgetRefusal(calls_open=False)]
    assert (await read_run(database, project_id, run_id)).paused_by is PausedBy.PROJECT
    assert (await state(database, budget_accounts.month_id(project_id, month))).spent_usd == 0.3
    async with database.write() as db:
        await run_pauses.resume_within_budget(db)
    assert (await read_run(database, project_id, run_id)).paused_at is not None
    async with database.write() as db:
        project = await db.get(Project, project_id)
        assert project is not None
        project.monthly_budget_usd = 0.32
        await budget_accounts.set_month_limit(db, project_id, 0.32)
        await run_pauses.resume_within_budget(db)
    run = await read_run(database, project_id, run_id)
    assert run.paused_at is None
    assert run.resume_requested_at is not None
    assert await reserved(database, "a", beyond) == [None]


async def test_the_turn_of_the_month_lets_runs_of_a_project_go_on(
    database: Database, project_id: ProjectId, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = await make_run(database, project_id, max_cost_usd=5.0)
    async with database.write() as db:
        project = await db.get(Project, project_id)
        assert project is not None
        project.monthly_budget_usd = 0.001
    month = budget_accounts.month_of(clock.now())
    beyond = call(project_id, run_id, month=month)
    assert await reserved(database, "a", beyond) == [BudgetRefusal(calls_open=False)]
    assert (await state(database, run_id)).open_usd == 0.0
    monkeypatch.setattr(clock, "now", lambda: budget_accounts.end_of(month))
    async with database.write() as db:
        await run_pauses.resume_within_budget(db)
    assert (await read_run(database, project_id, run_id)).paused_at is None


async def test_resuming_needs_room_for_the_next_call(
    database: Database, project_id: ProjectId
) -> None:
    run_id = await make_run(database, project_id, max_cost_usd=0.005)

    async def resume(**budget: float | int | None) -> EvalRun:
        async with database.write() as db:
            given = {"max_cost_usd": None, "max_tokens": None} | budget
            return await run_pauses.resume(db, project_id, run_id, **given)  # type: ignore[arg-type]  # mixed numbers

    with pytest.raises(Conflict, match="not paused"):
        await resume()
    await reserved(database, "a", call(project_id, run_id))
    with pytest.raises(Invalid, match=r"max_cost_usd must be at least 0\.01"):
        await resume()
    with pytest.raises(Invalid, match="no max_tokens"):
        await resume(max_tokens=10)
    row = await resume(max_cost_usd=0.02)
    assert (row.max_cost_usd, row.paused_at) == (0.02, None)
    assert await reserved(database, "a", call(project_id, run_id)) == [None]
    async with database.read() as db:
        assert [one.id for one in await run_pauses.awaiting_signal(db)] == [run_id]
    async with database.write() as db:
        await run_pauses.mark_signaled(db, run_id)
        assert await run_pauses.awaiting_signal(db) == []


def test_costs_are_rounded_up_to_whole_units_and_products_are_not_inflated() -> None:
    assert units(0.1 + 0.2) == units(0.3) == 300_000_000_000
    assert units(1e-13) == 1
    assert usd(units(4.98)) == 4.98
