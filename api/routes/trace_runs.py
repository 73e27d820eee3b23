"""Evaluation runs over traces."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel

from api import errors, judges
from api.creating import Opener, Wanted, refuse_unknown
from api.dependencies import CurrentStack, ReadProject
from api.models.run_requests import TraceBatchBody, TraceRunBody
from api.models.runs import EvalRunBody
from api.opening import Answer
from api.requests import JsonRoute
from api.routes.metrics import MetricInfo
from api.routes.runs import RunRoutes
from core.database import Reader
from core.errors import Invalid
from core.filters import TraceFilters
from core.ids import ProjectId, TargetType
from core.queries import traces
from core.text import PlainText
from evals import catalog

router = APIRouter(
    prefix="/evaluations/trace-runs", tags=["Evaluation runs"], route_class=JsonRoute
)


class RunTemplate(BaseModel):
    """A run to fill in."""

    metric: MetricInfo
    filters: TraceFilters
    sampling_rate: float = 1
    model: str


@router.post(
    "",
    status_code=202,
    summary="Judge the traces that match",
    description="Answers when the run's traces are known, or after a second: then `total_traces` "
    "is 0 and `status` PENDING until later reads.",
    responses=errors.responses(409, 413, 415),
    response_model=EvalRunBody,
)
async def create_trace_run(body: TraceRunBody, opener: Opener) -> Answer:
    async def check(db: Reader, project: ProjectId) -> None:
        if not await traces.any_match(db, project, body.filters):
            raise Invalid("No trace matches these filters; nothing was started.")

    return await opener.create(
        Wanted(body, TargetType.TRACE, check, body.filters_given, body.sampling_rate)
    )


@router.post(
    "/batch",
    status_code=202,
    summary="Judge exactly these traces",
    responses=errors.responses(409, 413, 415),
    response_model=EvalRunBody,
)
async def create_trace_batch(body: TraceBatchBody, opener: Opener) -> Answer:
    async def check(db: Reader, project: ProjectId) -> None:
        refuse_unknown("trace", await traces.unknown_ids(db, project, body.trace_ids))

    named = {"trace_ids": [str(id) for id in body.trace_ids]}
    return await opener.create(Wanted(body, TargetType.TRACE, check, named))


@router.get("/template", summary="A run of one metric to fill in", responses=errors.responses())
async def get_template(
    metric: Annotated[PlainText, Query(description="A name from /evaluations/trace-metrics.")],
    _project: ReadProject,
    stack: CurrentStack,
) -> RunTemplate:
    info = MetricInfo.in_full(catalog.trace_metric(metric))
    async with stack.database.read() as db:
        model = await judges.default_model(stack, db)
    return RunTemplate(metric=info, filters=TraceFilters(), model=model)


RunRoutes(TargetType.TRACE).add_to(router)
