"""A comparison of two runs for a worker to compute."""

from activities.comparing.plan import ComparisonOptions, plan
from core.db.tables import Comparison
from core.queries import comparison_rows, run_pairs, run_rows
from tests.factories import end_run, new_run, new_score, store_traces
from tests.workflows.conftest import Stack


async def pending_comparison(stack: Stack) -> Comparison:
    traces = await store_traces(stack.database, stack.project_id, 8)
    runs = []
    for value in (0.2, 0.9):
        async with stack.database.write() as db:
            run = await run_rows.create(db, new_run(stack.project_id))
            await run_pairs.record(db, [new_score(run, str(one), number=value) for one in traces])
        await end_run(stack.database, stack.project_id, run.id)
        runs.append(run.id)
    asked = ComparisonOptions(baseline=runs[0], candidate=runs[1], alpha=0.05, margin=0.02)
    async with stack.database.write() as db:
        made = await plan(db, stack.project_id, asked)
        return await comparison_rows.create(
            db, stack.project_id, made.runs, settings=made.settings, result=None
        )
