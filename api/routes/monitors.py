"""Monitors: saved runs with a cadence.

The row is the truth. If Temporal is unavailable, a change is refused with 503 and nothing is
written. If Temporal becomes unavailable right after the write, a worker updates the schedule later.
Deletion works without Temporal, because a schedule without a row does nothing and is removed.
"""

from typing import TYPE_CHECKING, Annotated
from uuid import UUID, uuid4

from fastapi import APIRouter, Query

from activities import budget_check
from api import errors
from api.dependencies import AppState, CurrentStack, ReadProject, WriteProject
from api.http.json_body import JsonRoute
from api.runs import model_choice, progress
from api.runs.run_opener import Answer, Opener
from api.schemas.monitors import Monitor, MonitorBody, MonitorListQuery, MonitorPatch
from api.schemas.pages import PageOf, PageQuery
from api.schemas.runs import EvalRunBody
from core.db.database import Reader, Writer
from core.errors import Invalid
from core.ids import MonitorId, MonitorStatus, ProjectId, RunId
from core.queries import monitor_matches, monitor_rows

if TYPE_CHECKING:
    from core.db.tables import EvalMonitor, EvalRun

router = APIRouter(prefix="/evaluations/monitors", tags=["Monitors"], route_class=JsonRoute)


@router.post(
    "",
    status_code=201,
    summary="Create a monitor",
    responses=errors.responses(413, 415),
)
async def create_monitor(body: MonitorBody, project: WriteProject, stack: CurrentStack) -> Monitor:
    async with stack.database.read() as db:
        await stack.quotas.check_new_monitor(db, project)
        await _check(stack, db, project, body)
    await stack.runs.check_reachable()
    async with stack.database.write() as db:
        row = await monitor_rows.create(
            db, project, MonitorId(uuid4()), body.target_type, body.settings()
        )
    return await _after_sync(stack, project, row.id)


@router.get("", summary="List monitors, newest first", responses=errors.responses())
async def list_monitors(
    query: Annotated[MonitorListQuery, Query()], project: ReadProject, stack: CurrentStack
) -> PageOf[Monitor]:
    async with stack.database.read() as db:
        rows, total = await monitor_rows.page(db, project, status=query.status, page=query.page)
    upcoming = await stack.clockwork.upcoming(rows)
    items = [Monitor.of(row, next_run_at=at) for row, at in upcoming]
    return PageOf.of(query, items, total)


@router.get("/{monitor_id}", summary="Get a monitor", responses=errors.responses(404))
async def get_monitor(monitor_id: UUID, project: ReadProject, stack: CurrentStack) -> Monitor:
    return await _shown(stack, await _find(stack, project, monitor_id))


@router.patch(
    "/{monitor_id}",
    summary="Change a monitor",
    description="Only sent fields change. A run that has begun continues unchanged.",
    responses=errors.responses(404, 413, 415),
)
async def update_monitor(
    monitor_id: UUID, body: MonitorPatch, project: WriteProject, stack: CurrentStack
) -> Monitor:
    async with stack.database.read() as db:
        row = await monitor_rows.get(db, project, monitor_id)
        await _check(stack, db, project, body.applied_to(row))
    await stack.runs.check_reachable()
    async with stack.database.write() as db:
        # Applied again to the locked row, so that concurrent changes do not undo each other.
        row = await monitor_rows.lock(db, project, monitor_id)
        wanted = body.applied_to(row)
        await monitor_rows.change(db, project, monitor_id, wanted.settings())
    return await _after_sync(stack, project, monitor_id)


@router.delete(
    "/{monitor_id}",
    status_code=204,
    summary="Delete a monitor",
    description="Its runs stay, including an open one.",
    responses=errors.responses(404),
)
async def delete_monitor(monitor_id: UUID, project: WriteProject, stack: CurrentStack) -> None:
    async with stack.database.write() as db:
        await monitor_rows.remove(db, project, monitor_id)
    await stack.clockwork.sync_or_defer(monitor_id)


@router.post("/{monitor_id}/pause", summary="Pause a monitor", responses=errors.responses(404))
async def pause_monitor(monitor_id: UUID, project: WriteProject, stack: CurrentStack) -> Monitor:
    return await _turn(stack, project, monitor_id, MonitorStatus.PAUSED)


@router.post(
    "/{monitor_id}/resume",
    summary="Resume a monitor",
    description="Runs that came due during the pause are skipped.",
    responses=errors.responses(404),
)
async def resume_monitor(monitor_id: UUID, project: WriteProject, stack: CurrentStack) -> Monitor:
    return await _turn(stack, project, monitor_id, MonitorStatus.ACTIVE)


@router.post(
    "/{monitor_id}/trigger",
    status_code=202,
    summary="Run a monitor now",
    description="Ignores its cadence, its status and `only_if_changed`.",
    responses=errors.responses(404, 409),
    response_model=EvalRunBody,
)
async def trigger_monitor(
    monitor_id: UUID,
    project: WriteProject,
    stack: CurrentStack,
    opener: Opener,
) -> Answer:
    async def check(db: Reader) -> None:
        row = await monitor_rows.get(db, project, monitor_id)
        model = await _model_for(stack, db, row)
        await budget_check.check(db, project, model, row.max_cost_usd)
        if not await monitor_matches.any_match(db, row):
            raise Invalid("Nothing matches this monitor's filters; nothing was started.")

    async def create(db: Writer) -> "EvalRun":
        locked = await monitor_rows.lock(db, project, monitor_id)
        model = await _model_for(stack, db, locked)
        return await monitor_rows.open_run(db, locked, RunId(uuid4()), model)

    return await opener.open(check, create)


@router.get(
    "/{monitor_id}/runs",
    summary="List the runs of a monitor, newest first",
    responses=errors.responses(404),
)
async def list_monitor_runs(
    monitor_id: UUID,
    query: Annotated[PageQuery, Query()],
    project: ReadProject,
    stack: CurrentStack,
) -> PageOf[EvalRunBody]:
    async with stack.database.read() as db:
        await monitor_rows.get(db, project, monitor_id)
        found, total = await monitor_rows.page_of_runs(db, project, monitor_id, query.page)
    items = await progress.live_all(stack, found)
    return PageOf.of(query, items, total)


async def _find(stack: AppState, project: ProjectId, monitor_id: UUID) -> "EvalMonitor":
    """Raises NotFound."""
    async with stack.database.read() as db:
        return await monitor_rows.get(db, project, monitor_id)


async def _model_for(stack: AppState, db: Reader, row: "EvalMonitor") -> str:
    """Raises Invalid."""
    return await model_choice.chosen(stack, db, row.target_type, (row.model, row.metric_names))


async def _check(stack: AppState, db: Reader, project: ProjectId, body: MonitorBody) -> None:
    stack.quotas.check_cadence(body.cadence)
    model = await model_choice.chosen(stack, db, body.target_type, (body.model, body.metrics))
    await budget_check.check(db, project, model, body.max_cost_usd)


async def _turn(
    stack: AppState, project: ProjectId, monitor_id: UUID, status: MonitorStatus
) -> Monitor:
    row = await _find(stack, project, monitor_id)
    if row.status is status:
        return await _shown(stack, row)
    await stack.runs.check_reachable()
    async with stack.database.write() as db:
        await monitor_rows.set_status(db, project, monitor_id, status)
    return await _after_sync(stack, project, monitor_id)


async def _after_sync(stack: AppState, project: ProjectId, monitor_id: UUID) -> Monitor:
    """Returns the monitor after its schedule was updated."""
    await stack.clockwork.sync_or_defer(monitor_id)
    return await _shown(stack, await _find(stack, project, monitor_id))


async def _shown(stack: AppState, row: "EvalMonitor") -> Monitor:
    [(newest, at)] = await stack.clockwork.upcoming([row])
    return Monitor.of(newest, next_run_at=at)
