"""Monitors while Temporal is unavailable: the row is the truth."""

from datetime import timedelta
from uuid import UUID

from core import clock
from core.queries import monitor_rows
from tests.api.conftest import Service
from tests.api.monitoring import MONITORS, body, make, monitor_of


async def test_while_temporal_is_away_nothing_changes_and_reads_answer(service: Service) -> None:
    made = await make(service)
    path = f"{MONITORS}/{made['id']}"
    service.runs.reachable = service.schedules.reachable = False
    for answer in (
        await service.client.post(MONITORS, json=body(name="second")),
        await service.client.patch(path, json={"cadence": "weekly"}),
        await service.client.post(f"{path}/pause"),
    ):
        assert answer.status_code == 503
        assert "Temporal" in answer.json()["detail"]
    # The last known time still holds, because nobody changed the schedule.
    assert monitor_of(await service.client.get(path)) == made
    assert (await service.client.get(MONITORS)).json()["items"] == [made]


async def test_due_times_that_an_outage_skipped_are_told_also_in_the_next_outage(
    service: Service,
) -> None:
    path = f"{MONITORS}/{(await make(service))['id']}"
    assert monitor_of(await service.client.get(path))["skipped_by_outage"] == 0
    service.schedules.skipped_by_outage = 2
    assert monitor_of(await service.client.get(path))["skipped_by_outage"] == 2
    service.runs.reachable = service.schedules.reachable = False
    assert monitor_of(await service.client.get(path))["skipped_by_outage"] == 2


async def test_a_moment_that_has_passed_is_not_when_it_runs_next(service: Service) -> None:
    made = await make(service)
    async with service.database.write() as db:
        row = await monitor_rows.lock(db, service.project_id, UUID(made["id"]))
        row.next_run_at = clock.now() - timedelta(minutes=1)
    service.schedules.reachable = False
    shown = monitor_of(await service.client.get(f"{MONITORS}/{made['id']}"))
    assert shown["next_run_at"] is None


async def test_when_temporal_goes_away_midway_the_row_stands_and_is_told_later(
    service: Service,
) -> None:
    made = await make(service)
    path = f"{MONITORS}/{made['id']}"
    service.schedules.reachable = False
    second = await make(service, name="second")
    assert second["next_run_at"] is None
    changed = monitor_of(await service.client.patch(path, json={"cadence": "weekly"}))
    assert (changed["cadence"], changed["next_run_at"]) == ("weekly", None)
    assert service.schedules.held[UUID(made["id"])].cadence == "daily"
    service.schedules.reachable = True
    await service.stack.clockwork.sync_pending()
    assert {schedule_id: held.cadence for schedule_id, held in service.schedules.held.items()} == {
        UUID(made["id"]): "weekly",
        UUID(second["id"]): "daily",
    }


async def test_deleting_needs_no_temporal(service: Service) -> None:
    made = await make(service)
    service.runs.reachable = service.schedules.reachable = False
    assert (await service.client.delete(f"{MONITORS}/{made['id']}")).status_code == 204
    service.schedules.reachable = True
    await service.stack.clockwork.reconcile()
    assert service.schedules.held == {}
