"""Monitors: saved runs with a cadence.

The row is the truth. A change needs Temporal within reach, else it is refused
with 503 and nothing is written; should Temporal go away right after that, the
row stands and a worker tells the schedule later. Deletion needs no Temporal: a
schedule without its row does nothing, and is removed.
"""

from typing import Annotated
from uuid import UUID, uuid4

from fastapi import APIRouter, Query, Request

from api import errors, judges, opening, progress
from api.dependencies import CurrentStack, IdempotencyKey, ReadProject, Stack, WriteProject
from api.models.monitors import Monitor, MonitorBody, MonitorListQuery, MonitorPatch
from api.models.pages import PageOf, PageQuery
from api.models.runs import EvalRunBody
from api.opening import Answer
from api.requests import JsonRoute
from core.database import Reader, Writer
from core.errors import Invalid
from core.ids import MonitorId, MonitorStatus, ProjectId, RunId
from core.queries import monitors, watched
from core.tables import EvalMonitor, EvalRun

router = APIRouter(prefix="/evaluations/monitors", tags=["Monitors"], route_class=JsonRoute)


@router.post(
    "",
    status_code=201,
    summary="Judge again and again",
    responses=errors.responses(413, 415),
)
async def create_monitor(body: MonitorBody, project: WriteProject, stack: CurrentStack) -> Monitor:
    async with stack.database.read() as db:
        await _check(stack, db, body)
    await stack.runs.check_reachable()
    async with stack.database.write() as db:
        row = await monitors.create(
            db, project, MonitorId(uuid4()), body.target_type, body.settings()
        )
    return await _told(stack, project, row.id)


@router.get("", summary="List monitors, newest first", responses=errors.responses())
async def list_monitors(
    query: Annotated[MonitorListQuery, Query()], project: ReadProject, stack: CurrentStack
) -> PageOf[Monitor]:
    async with stack.database.read() as db:
        rows, total = await monitors.page(db, project, status=query.status, page=query.page)
    next_runs = await stack.clockwork.next_runs(rows)
    items = [Monitor.of(row, next_run_at=next_runs[row.id]) for row in rows]
    return PageOf(items=items, total=total, limit=query.limit, offset=query.offset)


@router.get("/{monitor_id}", summary="One monitor", responses=errors.responses(404))
async def get_monitor(monitor_id: UUID, project: ReadProject, stack: CurrentStack) -> Monitor:
    return await _shown(stack, await _find(stack, project, monitor_id))


@router.patch(
    "/{monitor_id}",
    summary="Change a monitor",
    description="Only what is sent changes. A run under way goes on as it was begun.",
    responses=errors.responses(404, 413, 415),
)
async def update_monitor(
    monitor_id: UUID, body: MonitorPatch, project: WriteProject, stack: CurrentStack
) -> Monitor:
    async with stack.database.read() as db:
        row = await monitors.get(db, project, monitor_id)
        await _check(stack, db, body.applied_to(row))
    await stack.runs.check_reachable()
    async with stack.database.write() as db:
        # Again from the row as it is now: of two changes at once neither undoes the other.
        row = await monitors.lock(db, project, monitor_id)
        wanted = body.applied_to(row)
        await monitors.change(db, project, monitor_id, wanted.settings())
    return await _told(stack, project, monitor_id)


@router.delete(
    "/{monitor_id}",
    status_code=204,
    summary="Delete a monitor",
    description="Its runs stay, also one that is under way.",
    responses=errors.responses(404),
)
async def delete_monitor(monitor_id: UUID, project: WriteProject, stack: CurrentStack) -> None:
    async with stack.database.write() as db:
        await monitors.remove(db, project, monitor_id)
    await stack.clockwork.try_to_follow(monitor_id)


@router.post("/{monitor_id}/pause", summary="Pause a monitor", responses=errors.responses(404))
async def pause_monitor(monitor_id: UUID, project: WriteProject, stack: CurrentStack) -> Monitor:
    return await _turn(stack, project, monitor_id, MonitorStatus.PAUSED)


@router.post(
    "/{monitor_id}/resume",
    summary="Resume a monitor",
    description="What came due while it was paused is not made up for.",
    responses=errors.responses(404),
)
async def resume_monitor(monitor_id: UUID, project: WriteProject, stack: CurrentStack) -> Monitor:
    return await _turn(stack, project, monitor_id, MonitorStatus.ACTIVE)


@router.post(
    "/{monitor_id}/trigger",
    status_code=202,
    summary="Run a monitor now",
    description="Whatever its cadence, paused or not, changed or not.",
    responses=errors.responses(404, 409),
    response_model=EvalRunBody,
)
async def trigger_monitor(
    monitor_id: UUID,
    project: WriteProject,
    stack: CurrentStack,
    http: Request,
    idempotency_key: IdempotencyKey = None,
) -> Answer:
    request = opening.request_of(project, idempotency_key, path=http.url.path, body=None)
    earlier = await opening.replay(stack, request)
    if earlier is not None:
        return earlier
    async with stack.database.read() as db:
        row = await monitors.get(db, project, monitor_id)
        model = await judges.chosen(stack, db, row.target_type, (row.model, row.metric_names))
        if not await watched.any_match(db, row):
            raise Invalid("Nothing matches this monitor's filters; nothing was started.")

    async def create(db: Writer) -> EvalRun:
        locked = await monitors.lock(db, project, monitor_id)
        return await monitors.open_run(db, locked, RunId(uuid4()), model)

    return await opening.open_run(stack, create, request)


@router.get(
    "/{monitor_id}/runs",
    summary="The runs of a monitor, newest first",
    responses=errors.responses(404),
)
async def list_monitor_runs(
    monitor_id: UUID,
    query: Annotated[PageQuery, Query()],
    project: ReadProject,
    stack: CurrentStack,
) -> PageOf[EvalRunBody]:
    async with stack.database.read() as db:
        await monitors.get(db, project, monitor_id)
        found, total = await monitors.page_of_runs(db, project, monitor_id, query.page)
    items = await progress.live_all(stack, found)
    return PageOf(items=items, total=total, limit=query.limit, offset=query.offset)


async def _find(stack: Stack, project: ProjectId, monitor_id: UUID) -> EvalMonitor:
    """Raises NotFound."""
    async with stack.database.read() as db:
        return await monitors.get(db, project, monitor_id)


async def _check(stack: Stack, db: Reader, body: MonitorBody) -> None:
    await judges.chosen(stack, db, body.target_type, (body.model, body.metrics))


async def _turn(
    stack: Stack, project: ProjectId, monitor_id: UUID, status: MonitorStatus
) -> Monitor:
    row = await _find(stack, project, monitor_id)
    if row.status is status:
        return await _shown(stack, row)
    await stack.runs.check_reachable()
    async with stack.database.write() as db:
        await monitors.set_status(db, project, monitor_id, status)
    return await _told(stack, project, monitor_id)


async def _told(stack: Stack, project: ProjectId, monitor_id: UUID) -> Monitor:
    """The monitor, once its schedule knows of the change."""
    await stack.clockwork.try_to_follow(monitor_id)
    return await _shown(stack, await _find(stack, project, monitor_id))


async def _shown(stack: Stack, row: EvalMonitor) -> Monitor:
    next_runs = await stack.clockwork.next_runs([row])
    return Monitor.of(row, next_run_at=next_runs[row.id])
