"""What routes and pages show of comparisons and monitors after their runs or traces expired."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from core import clock
from core.retention import RetentionDays
from tests.activities.retention.ages import set_columns, take_turn
from tests.api.conftest import Service
from tests.api.dashboard.conftest import Browser, store_run
from tests.api.dashboard.test_compare import WORSE, two_runs
from tests.api.monitoring import MONITORS, make, monitor_of

COMPARISONS = "/evaluations/comparisons"
LONG_AGO = clock.now() - timedelta(days=30)


async def expire_runs(service: Service, *runs: UUID) -> None:
    await set_columns(
        service.database, "eval_run", runs, completed_at=LONG_AGO, created_at=LONG_AGO
    )
    swept = await take_turn(service.database, service.project_id, RetentionDays(runs=7))
    assert swept.deleted["runs"] == len(runs)


async def expire_traces(service: Service, limit: int = 100) -> None:
    answer = (await service.client.get(f"/traces?limit={limit}")).json()
    traces = [UUID(one["trace_id"]) for one in answer["items"]]
    await set_columns(service.database, "trace", traces, ingested_at=LONG_AGO)
    swept = await take_turn(service.database, service.project_id, RetentionDays(traces=7))
    assert swept.deleted["traces"] == len(traces)


async def compared(service: Service, a: UUID, b: UUID) -> dict[str, Any]:
    answer = await service.client.post(COMPARISONS, json={"baseline": str(a), "candidate": str(b)})
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_a_comparison_is_read_without_its_runs(service: Service, reader: Browser) -> None:
    a, b = await two_runs(service, WORSE)
    made = await compared(service, a, b)
    await expire_runs(service, a, b)
    path = f"{COMPARISONS}/{made['id']}"
    assert (await service.client.get(path)).json() == made
    assert (await service.client.get(COMPARISONS)).json()["items"] == [made]
    assert "worse" in (await service.client.get(f"{path}.md")).text
    assert (await service.client.get(f"{path}.json")).json() == made


@pytest.mark.parametrize("gone", [0, 1])
async def test_pages_of_two_runs_name_the_one_that_is_gone(
    service: Service, reader: Browser, gone: int
) -> None:
    runs = await two_runs(service, WORSE)
    a, b = runs
    await reader.get(f"/compare?a={a}&b={b}")
    await expire_runs(service, runs[gone])
    for page in (
        *(f"/compare?a={a}&b={b}", f"/compare?a={a}&b={b}&format=md", f"/compare?run={a}&run={b}"),
        f"/compare/items?a={a}&b={b}&o=lost",
    ):
        answer = await reader.get(page)
        assert answer.status_code == 404
        assert str(runs[gone]) in answer.text
    again = await service.client.post(COMPARISONS, json={"baseline": str(a), "candidate": str(b)})
    assert again.status_code == 404
    assert str(runs[gone]) in again.json()["detail"]


async def test_a_comparison_of_expired_traces_keeps_its_result(
    service: Service, reader: Browser
) -> None:
    a, b = await two_runs(service, WORSE)
    made = await compared(service, a, b)
    await expire_traces(service)
    assert (await service.client.get(f"{COMPARISONS}/{made['id']}")).json() == made
    says = f"The scores of run {a} were deleted, with its traces or by age."
    page = await reader.get(f"/compare?a={a}&b={b}&o=won&pair=x")
    assert page.status_code == 200
    assert says in page.text
    listed = await reader.get(f"/compare/items?a={a}&b={b}&o=lost")
    assert says in listed.text
    again = await service.client.post(COMPARISONS, json={"baseline": str(a), "candidate": str(b)})
    assert again.status_code == 422
    assert again.json()["detail"].startswith(says)
    assert (await service.client.get(COMPARISONS)).json()["items"] == [made]


async def test_expired_traces_leave_a_comparison_of_the_others(
    service: Service, reader: Browser
) -> None:
    a, b = await two_runs(service, WORSE)
    await reader.get(f"/compare?a={a}&b={b}")
    await expire_traces(service, limit=5)
    page = await reader.get(f"/compare?a={a}&b={b}")
    assert ">7 pairs</a> of 7 items" in page.text


async def test_a_monitor_is_shown_without_its_runs(service: Service, writer: Browser) -> None:
    trace = await service.post_trace()
    made = await make(service)
    runs = [
        await store_run(service, [(trace, "task_completion", 0.5 + n / 10)],
                        monitor_id=UUID(made["id"]))
        for n in range(3)
    ]  # fmt: skip
    await set_columns(
        service.database, "eval_monitor", [UUID(made["id"])],
        last_run_id=runs[-1], last_run_at=LONG_AGO,
    )  # fmt: skip
    page = await writer.get(f"/monitors/{made['id']}")
    assert str(runs[0]) in page.text
    await expire_runs(service, *runs)
    shown = monitor_of(await service.client.get(f"{MONITORS}/{made['id']}"))
    assert (shown["last_run_id"], shown["status"]) == (None, "ACTIVE")
    assert shown["last_run_at"] is not None
    runs_left = (await service.client.get(f"{MONITORS}/{made['id']}/runs")).json()
    assert (runs_left["items"], runs_left["total"]) == ([], 0)
    page = await writer.get(f"/monitors/{made['id']}")
    assert page.status_code == 200
    assert str(runs[0]) not in page.text
    assert "The runs of this monitor were deleted. The last run began" in page.text
    assert "has not run yet" not in page.text
    listed = await writer.get("/monitors")
    assert 'title="This run was deleted."' in listed.text
    assert "none yet" not in listed.text


async def test_a_monitor_whose_traces_expired_shows_its_runs_and_triggers_none(
    service: Service, writer: Browser
) -> None:
    trace = await service.post_trace()
    made = await make(service)
    run = await store_run(service, [(trace, "task_completion", 0.5)], monitor_id=UUID(made["id"]))
    await expire_traces(service)
    page = await writer.get(f"/monitors/{made['id']}")
    assert page.status_code == 200
    assert str(run) in page.text
    answer = await service.client.post(f"{MONITORS}/{made['id']}/trigger")
    assert (answer.status_code, answer.json()["detail"]) == (
        422, "Nothing matches this monitor's filters; nothing was started."
    )  # fmt: skip
