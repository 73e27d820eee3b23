"""Compares two runs: at once, or by a workflow if there are too many pairs for a request."""

import contextlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final
from uuid import UUID

from activities.comparing import computing
from activities.comparing.plan import MAX_AT_ONCE, ComparisonOptions, Plan, plan
from api.dependencies import AppState
from api.schemas.comparisons import ComparisonBody, ComparisonRequest
from core import clock
from core.db.database import Reader
from core.errors import Unavailable
from core.ids import ProjectId, RunStatus
from core.queries import comparison_rows, noise_rows

if TYPE_CHECKING:
    from core.db.tables import Comparison

START_AGAIN_SECONDS: Final = 10.0
"""After this long without a worker, the start of the comparison's workflow may have been lost in a
crash.
"""


async def create(
    stack: AppState, project_id: ProjectId, request: ComparisonRequest
) -> ComparisonBody:
    """Computes and stores a comparison, or starts it. Raises Invalid, NotFound and Unavailable."""
    async with stack.database.read() as db:
        made = await plan(db, project_id, options_of(request))
    row = await (compute(stack, made) if made.pairs <= MAX_AT_ONCE else start(stack, made))
    async with stack.database.read() as db:
        return (await bodies(db, project_id, [row]))[0]


def options_of(request: ComparisonRequest) -> ComparisonOptions:
    return ComparisonOptions(**request.model_dump())


async def compute(stack: AppState, comparison_plan: Plan) -> "Comparison":
    result = await computing.result_of(stack.database, comparison_plan)
    async with stack.database.write() as db:
        return await comparison_rows.create(
            db,
            comparison_plan.project_id,
            comparison_plan.runs,
            settings=comparison_plan.settings,
            result=result,
        )


async def start(stack: AppState, comparison_plan: Plan) -> "Comparison":
    """Raises Unavailable; then nothing of the comparison remains."""
    await stack.runs.check_reachable()
    async with stack.database.write() as db:
        row = await comparison_rows.create(
            db,
            comparison_plan.project_id,
            comparison_plan.runs,
            settings=comparison_plan.settings,
            result=None,
        )
    try:
        await stack.comparisons.start(comparison_plan.project_id, row.id)
    except Unavailable:
        async with stack.database.write() as db:
            await comparison_rows.remove(db, comparison_plan.project_id, row.id)
        raise
    return row


async def get(stack: AppState, project_id: ProjectId, comparison_id: UUID) -> ComparisonBody:
    """Raises NotFound."""
    async with stack.database.read() as db:
        row = await comparison_rows.get(db, project_id, comparison_id)
        [body] = await bodies(db, project_id, [row])
    await start_again(stack, row)
    return body


async def start_again(stack: AppState, row: "Comparison") -> None:
    """Repeats a lost start; a repetition has no other effect."""
    age = (clock.now() - row.created_at).total_seconds()
    if row.status is RunStatus.PENDING and age > START_AGAIN_SECONDS:
        with contextlib.suppress(Unavailable):
            await stack.comparisons.start(row.project_id, row.id)


async def bodies(
    db: Reader, project_id: ProjectId, rows: "Sequence[Comparison]"
) -> list[ComparisonBody]:
    """Comparisons as response bodies, with the measured noise of their judges."""
    judged = {
        (metric["metric"], metric.get("metric_version"), metric["model"])
        for row in rows
        for metric in row.result.get("metrics", ())
        if metric.get("model") and metric.get("same_version")
    }
    noise = await noise_rows.newest(db, project_id, sorted(judged, key=str)) if judged else {}
    return [ComparisonBody.of(row, noise) for row in rows]
