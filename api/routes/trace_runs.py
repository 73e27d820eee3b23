"""Evaluation runs over traces."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel

from api import errors
from api.dependencies import CurrentStack, ReadProject
from api.http.json_body import JsonRoute
from api.routes.metrics import MetricInfo
from api.routes.run_figures import FigureRoutes
from api.routes.runs import RunRoutes
from api.runs import estimating, model_choice
from api.runs.run_opener import Answer, Opener, RequestedRun, refuse_unknown
from api.schemas.estimates import EstimateBody
from api.schemas.run_requests import TraceBatchBody, TraceRunBody
from api.schemas.runs import EvalRunBody
from core.db.database import Reader
from core.errors import Invalid
from core.filters import TraceFilters
from core.ids import ProjectId, TargetType
from core.queries import trace_reads
from core.safe_text import Label
from evals import catalog

router = APIRouter(
    prefix="/evaluations/trace-runs", tags=["Evaluation runs"], route_class=JsonRoute
)


class RunTemplate(BaseModel):
    """A run template."""

    metric: MetricInfo
    filters: TraceFilters
    sampling_rate: float = 1
    model: str


@router.post(
    "",
    status_code=202,
    summary="Create a run over matching traces",
    description=(
        "The response arrives when the traces of the run are known, or after a second. In the "
        "second case `total_traces` is 0 and `status` is PENDING; later reads have the number."
    ),
    responses=errors.responses(409, 413, 415),
    response_model=EvalRunBody,
)
async def create_trace_run(body: TraceRunBody, opener: Opener) -> Answer:
    async def check(db: Reader, project: ProjectId) -> None:
        if not await trace_reads.any_match(db, project, body.filters):
            raise Invalid("No trace matches these filters; nothing was started.")

    return await opener.create(
        RequestedRun(body, TargetType.TRACE, check, body.filters_given, body.sampling_rate)
    )


@router.post(
    "/batch",
    status_code=202,
    summary="Create a run over given traces",
    responses=errors.responses(409, 413, 415),
    response_model=EvalRunBody,
)
async def create_trace_batch(body: TraceBatchBody, opener: Opener) -> Answer:
    async def check(db: Reader, project: ProjectId) -> None:
        refuse_unknown("trace", await trace_reads.unknown_ids(db, project, body.trace_ids))

    named = {"trace_ids": [str(trace_id) for trace_id in body.trace_ids]}
    return await opener.create(RequestedRun(body, TargetType.TRACE, check, named))


@router.post(
    "/estimate",
    summary="Estimate a run",
    description=(
        "Starts nothing. Renders up to 200 of the matching traces and estimates the pairs, judge "
        "calls and cost of the run."
    ),
    responses=errors.responses(413, 415),
)
async def estimate_trace_run(
    body: TraceRunBody, project: ReadProject, stack: CurrentStack
) -> EstimateBody:
    async with stack.database.read() as db:
        model = await model_choice.chosen(stack, db, TargetType.TRACE, (body.model, body.metrics))
    return await estimating.estimate(stack.database, project, body, model)


@router.get("/template", summary="Get a run template", responses=errors.responses())
async def get_template(
    metric: Annotated[Label, Query(description="A name from /evaluations/trace-metrics.")],
    _project: ReadProject,
    stack: CurrentStack,
) -> RunTemplate:
    info = MetricInfo.in_full(catalog.trace_metric(metric))
    async with stack.database.read() as db:
        model = await model_choice.default_model(stack, db)
    return RunTemplate(metric=info, filters=TraceFilters(), model=model)


FigureRoutes(TargetType.TRACE).add_to(router)
RunRoutes(TargetType.TRACE).add_to(router)
