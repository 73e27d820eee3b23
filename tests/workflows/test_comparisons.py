"""A comparison that a worker computes."""

from core.ids import RunStatus
from core.queries import comparison_rows
from tests.workflows.comparing import pending_comparison
from tests.workflows.conftest import Stack
from workflows.comparison_client import ComparisonClient


async def test_a_worker_stores_the_result_once_however_often_it_is_started(stack: Stack) -> None:
    row = await pending_comparison(stack)
    comparisons = ComparisonClient(stack.client, task_queue=stack.task_queue)
    await comparisons.start(stack.project_id, row.id)
    await comparisons.start(stack.project_id, row.id)
    handle = stack.client.get_workflow_handle(f"comparison-{row.id}")
    async with stack.worker():
        await handle.result()
    await comparisons.start(stack.project_id, row.id)  # the comparison has already ended
    async with stack.database.read() as db:
        stored = await comparison_rows.get(db, stack.project_id, row.id)
    assert stored.status is RunStatus.COMPLETED
    assert stored.result["metrics"][0]["verdict"] == "better"


async def test_an_error_that_no_attempt_survives_is_told(stack: Stack) -> None:
    row = await pending_comparison(stack)
    async with stack.database.write() as db:
        broken = await db.merge(row)
        broken.settings = broken.settings | {"pair_by": "no rule"}
    comparisons = ComparisonClient(stack.client, task_queue=stack.task_queue)
    await comparisons.start(stack.project_id, row.id)
    handle = stack.client.get_workflow_handle(f"comparison-{row.id}")
    async with stack.worker():
        await handle.result()
    async with stack.database.read() as db:
        stored = await comparison_rows.get(db, stack.project_id, row.id)
    assert stored.status is RunStatus.FAILED
    assert "pair_by must be" in (stored.error_message or "")
