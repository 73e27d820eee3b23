"""The list of monitors, and the form that creates or changes one."""

from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, Response
from pydantic import ValidationError

from api.dashboard import rendering, views
from api.dashboard.access import REFUSED, PageViewer, PageWriter, ProjectViewer
from api.dashboard.list_address import ListAddress, member
from api.dashboard.run_form import RunForm
from api.routes.monitors import create_monitor, update_monitor
from api.runs import model_choice
from api.schemas.monitors import Monitor, MonitorBody, MonitorPatch
from core.errors import Invalid
from core.ids import MonitorStatus
from core.queries import monitor_rows, run_listing
from core.safe_text import PlainText

router = APIRouter(include_in_schema=False)

_A_PAGE = 50
CADENCES = {"every_6h": "every 6 hours", "daily": "daily", "weekly": "weekly"}


class MonitorListAddress(ListAddress):
    status: PlainText = ""


@dataclass(frozen=True, slots=True)
class MonitorRow:
    monitor: Monitor
    cadence: str


@dataclass(frozen=True, slots=True)
class OwnFields:
    """The fields of a monitor's form that the form of a run lacks.

    `monitor_id` None: a new monitor.
    """

    cadence: str
    only_if_changed: bool
    monitor_id: UUID | None = None


def cadence_words(cadence: str) -> str:
    return CADENCES.get(cadence, cadence)


@router.get("/ui/{project}/monitors")
async def monitors(
    request: Request, viewer: PageViewer, parameters: Annotated[MonitorListAddress, Query()]
) -> HTMLResponse:
    page = parameters.page(_A_PAGE)
    status = member(MonitorStatus, parameters.status)
    async with viewer.stack.database.read() as db:
        found, total = await monitor_rows.page(db, viewer.project.id, status=status, page=page)
    upcoming = await viewer.stack.clockwork.upcoming(found)
    shown = [Monitor.of(row, next_run_at=at) for row, at in upcoming]
    return rendering.page(
        request,
        "monitors.html",
        viewer,
        section="monitors",
        rows=[MonitorRow(one, cadence_words(one.cadence)) for one in shown],
        asked_for=parameters,
        page=views.page_view(rendering.Addresses(request), page, len(found), total),
        total=total,
    )


@router.get("/ui/{project}/monitors/new")
async def new_monitor(
    request: Request, viewer: PageViewer, form: Annotated[RunForm, Query()]
) -> HTMLResponse:
    return await _form(request, viewer, form, OwnFields("daily", only_if_changed=True))


@router.get("/ui/{project}/monitors/{monitor_id}/edit")
async def edit_monitor(request: Request, viewer: PageViewer, monitor_id: UUID) -> HTMLResponse:
    async with viewer.stack.database.read() as db:
        row = await monitor_rows.get(db, viewer.project.id, monitor_id)
    form = RunForm.of(
        row.target_type, row.metric_names, row.filters, row.sampling_rate, row.model
    ).model_copy(update={"name": row.name})
    form = form.with_budget(row.max_cost_usd, row.max_tokens)
    own = OwnFields(row.cadence, row.only_if_changed, monitor_id)
    return await _form(request, viewer, form, own)


async def _form(
    request: Request,
    viewer: ProjectViewer,
    form: RunForm,
    own: OwnFields,
    problem: str = "",
) -> HTMLResponse:
    setattr(request.state, REFUSED, bool(problem))
    async with viewer.stack.database.read() as db:
        default = await model_choice.default_model(viewer.stack, db)
        models = await run_listing.models(db, viewer.project.id)
    return rendering.page(
        request,
        "monitor_form.html",
        viewer,
        status=422 if problem else 200,
        section="monitors",
        form=form,
        own=own,
        metrics=form.offered(),
        default_model=default,
        models=models,
        monitor_id=own.monitor_id,
        problem=problem,
    )


@router.post("/ui/{project}/monitors/new")
async def create(request: Request, viewer: PageWriter) -> Response:
    return await _save(request, viewer, None)


@router.post("/ui/{project}/monitors/{monitor_id}/edit")
async def change(request: Request, viewer: PageWriter, monitor_id: UUID) -> Response:
    return await _save(request, viewer, monitor_id)


async def _save(request: Request, viewer: ProjectViewer, monitor_id: UUID | None) -> Response:
    sent = await request.form()
    cadence = str(sent.get("cadence", "")).strip()
    own = OwnFields(cadence, bool(sent.get("only_if_changed")), monitor_id)
    form = RunForm()
    try:
        form = RunForm.read(sent)
        given = {
            "name": form.name,
            "metrics": form.metric,
            "filters": form.filters(),
            "sampling_rate": form.share / 100,
            "model": form.model or None,
            "cadence": own.cadence,
            "only_if_changed": own.only_if_changed,
            **form.budget,
        }
        if monitor_id is None:
            body = MonitorBody.model_validate(given | {"target_type": form.target_type})
            saved = await create_monitor(body, viewer.project.id, viewer.stack)
        else:
            patch = MonitorPatch.model_validate(given)
            saved = await update_monitor(monitor_id, patch, viewer.project.id, viewer.stack)
    except (ValidationError, RequestValidationError, Invalid) as error:
        return await _form(request, viewer, form, own, problem_of(error))
    return rendering.redirect(viewer.at(f"/monitors/{saved.id}"))


def problem_of(error: ValidationError | RequestValidationError | Invalid) -> str:
    """The first error of a form, in one sentence."""
    if isinstance(error, Invalid):
        return error.message
    first = error.errors()[0]
    place = next((str(part) for part in reversed(first["loc"]) if isinstance(part, str)), "")
    words = str(first["msg"]).removeprefix("Value error, ")
    return f"{place.replace('_', ' ').capitalize()}: {words}." if place else f"{words}."
