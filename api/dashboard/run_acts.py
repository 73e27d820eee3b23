"""Actions on a run: cancel, retry, delete. Each asks for confirmation or can be undone."""

from typing import TYPE_CHECKING
from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response
from pydantic import ValidationError

from api.dashboard import rendering, views
from api.dashboard.access import PageViewer, PageWriter, ProjectViewer
from api.dashboard.monitors import problem_of
from api.routes.runs import RunRoutes
from api.runs import progress, resuming
from api.runs.run_opener import RunOpener
from api.schemas.run_requests import ResumeBody
from api.schemas.runs import EvalRunBody
from core.errors import Invalid
from core.queries import run_rows

if TYPE_CHECKING:
    from core.db.tables import EvalRun

router = APIRouter(include_in_schema=False)


async def _row(viewer: ProjectViewer, run_id: UUID) -> "EvalRun":
    async with viewer.stack.database.read() as db:
        return await run_rows.get(db, viewer.project.id, run_id)


@router.get("/ui/{project}/runs/{run_id}/cancel")
async def ask_cancel(request: Request, viewer: PageViewer, run_id: UUID) -> HTMLResponse:
    return await _ask(request, viewer, run_id, "cancel")


@router.get("/ui/{project}/runs/{run_id}/delete")
async def ask_delete(request: Request, viewer: PageViewer, run_id: UUID) -> HTMLResponse:
    return await _ask(request, viewer, run_id, "delete")


async def _ask(request: Request, viewer: ProjectViewer, run_id: UUID, act: str) -> HTMLResponse:
    body = await progress.live(viewer.stack, await _row(viewer, run_id))
    return rendering.page(
        request,
        "run_ask.html",
        viewer,
        section="runs",
        run=body,
        name=views.run_name(body),
        act=act,
    )


@router.post("/ui/{project}/runs/{run_id}/cancel")
async def cancel(viewer: PageWriter, run_id: UUID) -> Response:
    row = await _row(viewer, run_id)
    await RunRoutes(row.target_type).cancel(run_id, viewer.project.id, viewer.stack)
    return rendering.redirect(viewer.at(f"/runs/{run_id}"))


@router.post("/ui/{project}/runs/{run_id}/resume")
async def resume(request: Request, viewer: PageWriter, run_id: UUID) -> Response:
    """The form shows the budgets of the run. An unchanged field does not change its budget."""
    sent = await request.form()
    given = {name: str(sent.get(name) or "").strip() or None for name in ResumeBody.model_fields}
    try:
        body = ResumeBody.model_validate(given)
    except ValidationError as error:
        raise Invalid(problem_of(error)) from None
    row = await _row(viewer, run_id)
    same = body.max_cost_usd == row.max_cost_usd and body.max_tokens == row.max_tokens
    await resuming.resume(viewer.stack, viewer.project.id, run_id, ResumeBody() if same else body)
    return rendering.redirect(viewer.at(f"/runs/{run_id}"))


@router.post("/ui/{project}/runs/{run_id}/delete")
async def delete(request: Request, viewer: PageWriter, run_id: UUID) -> Response:
    row = await _row(viewer, run_id)
    with_scores = bool((await request.form()).get("delete_scores"))
    await RunRoutes(row.target_type).delete(run_id, viewer.project.id, viewer.stack, with_scores)
    return rendering.redirect(viewer.at("/runs"))


@router.post("/ui/{project}/runs/{run_id}/retry")
async def retry(request: Request, viewer: PageWriter, run_id: UUID) -> Response:
    row = await _row(viewer, run_id)
    opener = RunOpener(viewer.stack, viewer.project.id, request.url.path, None)
    started = await opener.retry(row.target_type, run_id)
    run_id = started.id if isinstance(started, EvalRunBody) else started["id"]
    return rendering.redirect(viewer.at(f"/runs/{run_id}"))
