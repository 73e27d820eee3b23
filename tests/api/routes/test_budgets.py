"""Budgets of runs, monitors and projects over HTTP."""

from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import func, select
from sqlmodel import col

from core import clock
from core.db.tables import BudgetAccount
from core.ids import Scope
from core.money import units
from core.queries import budget_accounts, budgets, run_rows
from core.queries.budgets import Amount, Reservation
from tests.api.conftest import Service, provider

MODEL = "openai/gpt-4o-mini"
UNPRICED = "openai/a-model-nobody-has-priced"
RUNS = "/evaluations/trace-runs"
BODY: dict[str, Any] = {"metrics": ["task_completion"], "model": MODEL}


async def refuse_call(service: Service, run_id: str, cost_usd: float, **more: Any) -> None:
    """Refuses a call while no other call is open, so that the run pauses."""
    async with service.database.write() as db:
        row = await run_rows.begin(db, service.project_id, UUID(run_id))
        most = Amount(units(cost_usd), 100)
        asked = Reservation(row.project_id, row.id, most, **{"of_run": True, **more})
        await budgets.reserve(db, "a worker", [asked])


async def start(service: Service, **budget: Any) -> dict[str, Any]:
    await service.publish(provider(), provider("offline"), default_model=MODEL)
    await service.post_trace()
    answer = await service.client.post(RUNS, json=BODY | budget)
    assert answer.status_code == 202, answer.text
    found: dict[str, Any] = answer.json()
    return found


@pytest.mark.parametrize(
    "budget",
    [{"max_cost_usd": 0}, {"max_cost_usd": -1}, {"max_cost_usd": "NaN"}, {"max_tokens": 0.5}],
)
async def test_a_budget_is_a_positive_finite_number(
    service: Service, budget: dict[str, Any]
) -> None:
    answer = await service.client.post(RUNS, json=BODY | budget)
    assert answer.status_code == 422
    assert next(iter(budget)) in answer.text


async def test_a_budget_in_dollars_needs_a_price_and_the_refusal_names_the_way_out(
    service: Service,
) -> None:
    await start(service, max_tokens=10, model=UNPRICED)
    for path, body in (
        (RUNS, BODY),
        (
            "/evaluations/monitors",
            BODY | {"name": "m", "target_type": "TRACE", "cadence": "daily"},
        ),
    ):
        answer = await service.client.post(path, json=body | {"model": UNPRICED, "max_cost_usd": 5})
        assert answer.status_code == 422
        assert "Set max_tokens" in answer.json()["detail"]


async def test_a_paused_run_tells_what_it_needs_and_goes_on_with_a_higher_budget(
    service: Service,
) -> None:
    run = await start(service, max_cost_usd=0.5)
    assert (run["paused"], run["max_cost_usd"], run["budget"]["spent_usd"]) == (False, 0.5, 0.0)
    address = f"{RUNS}/{run['id']}"
    assert (await service.client.post(f"{address}/resume", json={})).status_code == 409
    await refuse_call(service, run["id"], 0.6)
    paused = (await service.client.get(address)).json()
    assert (paused["status"], paused["paused"]) == ("RUNNING", True)
    assert paused["activity"].startswith("Paused at its budget: 0.00 of 0.50 USD spent")
    assert "at least 0.10 USD more needed" in paused["activity"]
    listed = (await service.client.get(f"{RUNS}?paused=true")).json()
    assert [one["id"] for one in listed["items"]] == [run["id"]]
    assert (await service.client.get(f"{RUNS}?paused=false")).json()["total"] == 0
    short = await service.client.post(f"{address}/resume", json={"max_cost_usd": 0.55})
    assert short.status_code == 422
    assert "at least 0.60" in short.json()["detail"]
    raised = await service.client.post(f"{address}/resume", json={"max_cost_usd": 1})
    assert raised.status_code == 202
    assert (raised.json()["paused"], raised.json()["max_cost_usd"]) == (False, 1.0)
    assert service.runs.resumed == [UUID(run["id"])]


@pytest.mark.parametrize("delete_scores", [False, True])
async def test_a_paused_run_can_be_deleted_and_leaves_no_account(
    service: Service, delete_scores: bool
) -> None:
    run = await start(service, max_cost_usd=0.5)
    await refuse_call(service, run["id"], 0.6)
    address = f"{RUNS}/{run['id']}"
    assert (await service.client.get(address)).json()["paused"]
    deleted = await service.client.delete(address, params={"delete_scores": delete_scores})
    assert deleted.status_code == 204
    assert (await service.client.get(address)).status_code == 404
    assert (await service.client.get(f"{RUNS}?paused=true")).json()["total"] == 0
    resumed = await service.client.post(f"{address}/resume", json={"max_cost_usd": 1})
    assert resumed.status_code == 404
    assert service.runs.cancelled == [UUID(run["id"])]
    async with service.database.read() as db:
        left = select(func.count()).select_from(BudgetAccount)
        assert await db.scalar(left.where(col(BudgetAccount.run_id) == UUID(run["id"]))) == 0


async def test_without_temporal_nothing_is_resumed(service: Service) -> None:
    run = await start(service, max_cost_usd=0.5)
    await refuse_call(service, run["id"], 0.6)
    service.runs.reachable = False
    refused = await service.client.post(f"{RUNS}/{run['id']}/resume", json={"max_cost_usd": 1})
    assert refused.status_code == 503
    async with service.database.read() as db:
        row = await run_rows.get(db, service.project_id, UUID(run["id"]))
    assert (row.max_cost_usd, row.paused_at is None) == (0.5, False)


async def test_a_monthly_budget_pauses_the_runs_of_its_project_and_lets_them_go_on(
    service: Service,
) -> None:
    run = await start(service)
    key = {"X-API-Key": await service.key(scope=Scope.ADMIN, project_id=service.project_id)}
    project = f"/projects/{service.project_id}"
    answer = await service.client.patch(project, json={"monthly_budget_usd": 2}, headers=key)
    assert answer.json()["monthly_budget_usd"] == 2
    month = budget_accounts.month_of(clock.now())
    await refuse_call(service, run["id"], 3, of_run=False, month=month)
    paused = (await service.client.get(f"{RUNS}/{run['id']}")).json()
    ends = f"{budget_accounts.end_of(month):%Y-%m-%d}"
    for words in ("monthly budget of project", "0.00 of 2.00 USD", "1.00 USD more", ends):
        assert words in paused["activity"]
    unpriced = await service.client.post(RUNS, json=BODY | {"model": UNPRICED})
    assert unpriced.status_code == 422
    assert "monthly budget" in unpriced.json()["detail"]
    await service.client.patch(project, json={"monthly_budget_usd": None}, headers=key)
    assert not (await service.client.get(f"{RUNS}/{run['id']}")).json()["paused"]
