"""Evaluation runs over sessions."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel

from api import errors, judges
from api.creating import Opener, Wanted, refuse_unknown
from api.dependencies import CurrentStack, ReadProject
from api.models.run_requests import SessionBatchBody, SessionRunBody
from api.models.runs import EvalRunBody
from api.opening import Answer
from api.requests import JsonRoute
from api.routes.metrics import MetricInfo
from api.routes.runs import RunRoutes
from core.database import Reader
from core.errors import Invalid
from core.ids import ProjectId, TargetType
from core.queries import sessions
from core.session_filters import SessionFilters
from core.text import PlainText
from evals import catalog
from evals.signals import SIGNAL_WEIGHTS

router = APIRouter(
    prefix="/evaluations/session-runs", tags=["Evaluation runs"], route_class=JsonRoute
)


class SessionRunTemplate(BaseModel):
    """A run to fill in."""

    metric: MetricInfo
    filters: SessionFilters
    sampling_rate: float = 1
    model: str
    signal_weights: dict[str, float]


@router.post(
    "",
    status_code=202,
    summary="Judge the sessions that match",
    description="Each session by the signals of its traces. A signal that was judged before is "
    "used again while its trace has not changed since; the others are judged, and kept as trace "
    "scores of the run. `total_traces` counts sessions.",
    responses=errors.responses(409, 413, 415),
    response_model=EvalRunBody,
)
async def create_session_run(body: SessionRunBody, opener: Opener) -> Answer:
    async def check(db: Reader, project: ProjectId) -> None:
        if not await sessions.any_match(db, project, body.filters):
            raise Invalid("No session matches these filters; nothing was started.")

    filters = body.filters_given | body.weights_given
    return await opener.create(Wanted(body, TargetType.SESSION, check, filters, body.sampling_rate))


@router.post(
    "/batch",
    status_code=202,
    summary="Judge exactly these sessions",
    responses=errors.responses(409, 413, 415),
    response_model=EvalRunBody,
)
async def create_session_batch(body: SessionBatchBody, opener: Opener) -> Answer:
    async def check(db: Reader, project: ProjectId) -> None:
        refuse_unknown("session", await sessions.unknown_ids(db, project, body.session_ids))

    named = {"session_ids": body.session_ids} | body.weights_given
    return await opener.create(Wanted(body, TargetType.SESSION, check, named))


@router.get("/template", summary="A run of one metric to fill in", responses=errors.responses())
async def get_session_run_template(
    metric: Annotated[PlainText, Query(description="A name from /evaluations/session-metrics.")],
    _project: ReadProject,
    stack: CurrentStack,
) -> SessionRunTemplate:
    info = MetricInfo.in_full(catalog.session_metric(metric))
    async with stack.database.read() as db:
        model = await judges.default_model(stack, db)
    return SessionRunTemplate(
        metric=info, filters=SessionFilters(), model=model, signal_weights=dict(SIGNAL_WEIGHTS)
    )


RunRoutes(TargetType.SESSION).add_to(router)
