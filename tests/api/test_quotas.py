"""The quotas of a project for runs, pairs, monitors and bytes. Messages name the setting."""

import asyncio
from typing import Any

from sqlalchemy import event, update

from api.quotas import Quotas
from core.db.tables import EvalRun
from core.settings import Settings
from tests.api.conftest import Service, serve
from tests.api.monitoring import MONITORS, body

RUNS = "/evaluations/trace-runs"
RUN = {"metrics": ["task_completion"]}


async def limited(url: str, settings: Settings, **limits: int) -> Any:
    async for service in serve(url, settings.model_copy(update=limits)):
        yield service


async def test_runs_that_have_not_ended(any_database_url: str, settings: Settings) -> None:
    async for service in limited(any_database_url, settings, max_unfinished_runs=2):
        await service.post_trace()
        found = [await service.client.post(RUNS, json=RUN) for _ in range(3)]
        assert [answer.status_code for answer in found] == [202, 202, 429]
        assert "ASSAY_MAX_UNFINISHED_RUNS" in found[2].json()["detail"]
        assert found[2].headers["Retry-After"]


async def test_pairs_of_a_day(any_database_url: str, settings: Settings) -> None:
    async for service in limited(any_database_url, settings, max_pairs_per_day=3):
        await service.post_trace()
        two = {"metrics": ["task_completion", "coherence"]}
        assert (await service.client.post(RUNS, json=two)).status_code == 202
        async with service.database.write() as db:
            await db.execute(update(EvalRun).values(total_targets=2))
        service.stack.quotas._pairs.forget(service.project_id)
        answer = await service.client.post(RUNS, json=RUN)
        assert answer.status_code == 429
        assert "ASSAY_MAX_PAIRS_PER_DAY" in answer.json()["detail"]


async def test_monitors_and_how_often_they_run(sqlite_url: str, settings: Settings) -> None:
    async for service in limited(sqlite_url, settings, max_monitors=1):
        often = await service.client.post(MONITORS, json=body(cadence="cron:*/5 * * * *"))
        assert often.status_code == 422
        assert "ASSAY_MIN_MONITOR_MINUTES" in often.text
        found = [await service.client.post(MONITORS, json=body()) for _ in range(2)]
        assert [answer.status_code for answer in found] == [201, 422]
        assert "ASSAY_MAX_MONITORS" in found[1].text
        path = f"{MONITORS}/{found[0].json()['id']}"
        changed = await service.client.patch(path, json={"cadence": "cron:* * * * *"})
        assert changed.status_code == 422


async def test_stored_bytes(any_database_url: str, settings: Settings) -> None:
    async for service in limited(any_database_url, settings, max_stored_bytes=5000):
        trace_id = await service.post_trace(input="x" * 6000)
        service.stack.quotas._bytes.forget(service.project_id)
        spans = [{"name": "s", "started_at": "2026-01-01T00:00:00Z"}]
        trace = {"name": "n", "started_at": "2026-01-01T00:00:00Z"}
        for path, sent in ((f"/traces/{trace_id}/spans", spans), ("/traces", trace)):
            answer = await service.client.post(path, json=sent)
            assert answer.status_code == 422
            assert "ASSAY_MAX_STORED_BYTES" in answer.json()["detail"]
        assert (await service.client.delete(f"/traces/{trace_id}")).status_code == 204
        service.stack.quotas._bytes.forget(service.project_id)
        assert (await service.client.post("/traces", json=trace)).status_code == 202


async def test_concurrent_requests_share_one_sum(sqlite_service: Service) -> None:
    database, limits = sqlite_service.database, Quotas(sqlite_service.database, Settings())
    sums = 0

    def count(*statement: Any) -> None:
        nonlocal sums
        sums += "sum(trace.size_bytes)" in statement[2]

    event.listen(database.engine.sync_engine, "before_cursor_execute", count)
    await asyncio.gather(*(limits.check_storage(sqlite_service.project_id) for _ in range(50)))
    await limits.check_storage(sqlite_service.project_id)
    assert sums == 1
