"""Starts a run: the form, the number of matching targets, the estimate, and the start."""

from typing import Annotated, Any
from uuid import UUID, uuid4

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, Response
from pydantic import ValidationError

from api.dashboard import rendering
from api.dashboard.access import REFUSED, PageViewer, PageWriter, ProjectViewer
from api.dashboard.monitors import problem_of
from api.dashboard.run_form import RunForm
from api.routes.session_runs import create_session_batch, create_session_run
from api.routes.trace_runs import create_trace_batch, create_trace_run, estimate_trace_run
from api.runs import model_choice
from api.runs.run_opener import Answer, RunOpener
from api.schemas.run_requests import SessionBatchBody, SessionRunBody, TraceBatchBody, TraceRunBody
from api.schemas.runs import EvalRunBody
from core import json_codec
from core.db.database import Reader
from core.errors import Invalid
from core.filters import TraceListFilters
from core.ids import TargetType
from core.queries import (
    run_listing,
    run_names,
    run_rows,
    session_listing,
    trace_reads,
    trace_titles,
    workers,
)
from core.queries.trace_reads import Listing

router = APIRouter(include_in_schema=False)

_SHOWN = 6
_PICKED_AT_FIRST = {
    TargetType.TRACE: ["task_completion"],
    TargetType.SESSION: ["agent_reliability", "agent_consistency"],
}


@router.get("/ui/{project}/runs/new")
async def new_run(
    request: Request,
    viewer: PageViewer,
    form: Annotated[RunForm, Query()],
    like: UUID | None = None,
) -> HTMLResponse:
    if like is not None:
        async with viewer.stack.database.read() as db:
            row = await run_rows.get(db, viewer.project.id, like)
            filters = await run_names.whole_filters(db, row)
        form = RunForm.of(row.target_type, row.metric_names, filters, row.sampling_rate, row.model)
        form = form.with_budget(row.max_cost_usd, row.max_tokens)
    if not form.metric:
        form = form.model_copy(update={"metric": _PICKED_AT_FIRST[form.target_type]})
    return await _form(request, viewer, form)


@router.get("/ui/{project}/runs/new/count")
async def count(
    request: Request, viewer: PageViewer, form: Annotated[RunForm, Query()]
) -> HTMLResponse:
    """The part of the page with the number of matching targets."""
    matching = await _matching(viewer, form)
    return rendering.page(request, "new_run_count.html", viewer, form=form, **matching)


@router.get("/ui/{project}/runs/new/estimate")
async def estimate(
    request: Request, viewer: PageViewer, form: Annotated[RunForm, Query()]
) -> HTMLResponse:
    """The part of the page with the estimate, which is slow because it reads traces."""
    return rendering.page(
        request, "new_run_estimate.html", viewer, **await _estimated(viewer, form)
    )


async def _estimated(viewer: ProjectViewer, form: RunForm) -> dict[str, Any]:
    """The estimate of a run over filtered traces; a sentence if there is none."""
    none: dict[str, Any] = {"estimate": None, "why": ""}
    if form.trace or form.target_type is TargetType.SESSION or not form.metric:
        return none
    try:
        body = TraceRunBody.model_validate(
            {
                "metrics": form.metric,
                "model": form.model or None,
                "fresh": form.fresh,
                "filters": form.filters(),
                "sampling_rate": form.share / 100,
            }
        )
        return none | {"estimate": await estimate_trace_run(body, viewer.project.id, viewer.stack)}
    except (ValidationError, Invalid) as error:
        return none | {"why": problem_of(error)}


@router.post("/ui/{project}/runs/new")
async def start(request: Request, viewer: PageWriter) -> Response:
    sent = await request.form()
    form = RunForm()
    try:
        form = RunForm.read(sent)
        answer = await _start(viewer, form, str(sent.get("once", "")) or None, request.url.path)
    except (ValidationError, Invalid) as error:
        return await _form(request, viewer, form, problem_of(error))
    run_id = answer.id if isinstance(answer, EvalRunBody) else answer["id"]
    return rendering.redirect(viewer.at(f"/runs/{run_id}"))


async def _start(viewer: ProjectViewer, form: RunForm, once: str | None, path: str) -> Answer:
    """`once`: an idempotency key of the form, so that a form sent twice starts one run.

    Raises Invalid.
    """
    opener = RunOpener(viewer.stack, viewer.project.id, path, once)
    common: dict[str, Any] = {
        "metrics": form.metric,
        "name": form.name or None,
        "model": form.model or None,
        "fresh": form.fresh,
        **form.budget,
    }
    filtered = common | {"filters": form.filters(), "sampling_rate": form.share / 100}
    if form.target_type is TargetType.SESSION:
        if form.session:
            named = SessionBatchBody.model_validate(common | {"session_ids": [form.session]})
            return await create_session_batch(named, opener)
        return await create_session_run(SessionRunBody.model_validate(filtered), opener)
    if form.trace:
        return await create_trace_batch(
            TraceBatchBody.model_validate(common | {"trace_ids": form.trace}), opener
        )
    return await create_trace_run(TraceRunBody.model_validate(filtered), opener)


async def _form(
    request: Request, viewer: ProjectViewer, form: RunForm, problem: str = ""
) -> HTMLResponse:
    setattr(request.state, REFUSED, bool(problem))
    async with viewer.stack.database.read() as db:
        default = await model_choice.default_model(viewer.stack, db)
        models = await run_listing.models(db, viewer.project.id)
        offer = await workers.offered(db)
    key = ("matching", viewer.project.id, form.model_dump_json())
    matching = await rendering.part(request, viewer, key, lambda: _matching(viewer, form))
    return rendering.page(
        request,
        "new_run.html",
        viewer,
        status=422 if problem else 200,
        section="runs",
        form=form,
        metrics=form.offered(),
        default_model=default,
        models=models,
        worker_seen=offer.seen,
        once=str(uuid4()),
        problem=problem,
        as_request=_as_request(form),
        counted=matching is not None,
        **(matching or {}),
    )


async def _matching(viewer: ProjectViewer, form: RunForm) -> dict[str, Any]:
    """The number of matching targets, and the newest of them; a sentence if the form is invalid."""
    nothing: dict[str, Any] = {"total": 0, "sampled": 0, "newest": [], "wrong": ""}
    try:
        async with viewer.stack.database.read() as db:
            if form.target_type is TargetType.SESSION:
                total, newest = await _sessions(db, viewer, form)
            else:
                total, newest = await _traces(db, viewer, form)
    except ValidationError as error:
        return nothing | {"wrong": problem_of(error)}
    sampled = total if form.trace else _sampled(total, form.share)
    return nothing | {"total": total, "sampled": sampled, "newest": newest}


def _sampled(total: int, share: float) -> int:
    """The size of the run's sample: at least one for any share above 0."""
    return 0 if share <= 0 or not total else max(1, int(total * share / 100))


async def _traces(
    db: Reader, viewer: ProjectViewer, form: RunForm
) -> tuple[int, list[tuple[str, str, Any]]]:
    project = viewer.project.id
    if form.trace:
        ids = [UUID(trace_id) for trace_id in form.trace[:_SHOWN] if _is_uuid(trace_id)]
        titles = await trace_titles.of_traces(db, project, ids)
        return len(form.trace), [
            (str(trace_id), one.opening or one.name, None) for trace_id, one in titles.items()
        ]
    filters = form.trace_filters()
    listed = TraceListFilters(
        status=filters.status,
        session_id=filters.session_id,
        user_id=filters.user_id,
        tags=filters.tags,
        name=filters.name,
        started_after=filters.date_from,
        started_before=filters.date_to,
    )
    found, total = await trace_reads.page(db, project, listed, Listing(_SHOWN))
    titles = await trace_titles.of_traces(db, project, [one.row.id for one in found])
    return total, [
        (str(one.row.id), titles[one.row.id].opening or one.row.name, one.row.started_at)
        for one in found
        if one.row.id in titles
    ]


async def _sessions(
    db: Reader, viewer: ProjectViewer, form: RunForm
) -> tuple[int, list[tuple[str, str, Any]]]:
    if form.session:
        return 1, [(form.session, form.session, None)]
    ids, total = await session_listing.newest_matching(
        db, viewer.project.id, form.session_filters(), limit=_SHOWN
    )
    return total, [(session_id, session_id, None) for session_id in ids]


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True


def _is_number(text: str) -> bool:
    return text.replace(".", "", 1).isdecimal()


def _as_request(form: RunForm) -> str:
    """The same run as the body of an API request."""
    body: dict[str, Any] = {"metrics": form.metric}
    if form.trace:
        body["trace_ids"] = form.trace
    elif form.target_type is TargetType.SESSION and form.session:
        body["session_ids"] = [form.session]
    else:
        body |= {"filters": form.filters(), "sampling_rate": form.share / 100}
    for name, value in (("name", form.name), ("model", form.model), ("fresh", form.fresh)):
        if value:
            body[name] = value
    body |= {name: float(text) for name, text in form.budget.items() if text and _is_number(text)}
    return json_codec.dumps(body)
