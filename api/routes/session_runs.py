"""Evaluation runs over sessions."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel

from api import errors
from api.dependencies import CurrentStack, ReadProject
from api.http.json_body import JsonRoute
from api.routes.metrics import MetricInfo
from api.routes.run_figures import FigureRoutes
from api.routes.runs import RunRoutes
from api.runs import model_choice
from api.runs.run_opener import Answer, Opener, RequestedRun, refuse_unknown
from api.schemas.run_requests import SessionBatchBody, SessionRunBody
from api.schemas.runs import EvalRunBody
from core.db.database import Reader
from core.errors import Invalid
from core.filters import SessionFilters
from core.ids import ProjectId, TargetType
from core.queries import session_reads
from core.safe_text import Label
from evals import catalog
from evals.signals import SIGNAL_WEIGHTS

router = APIRouter(
    prefix="/evaluations/session-runs", tags=["Evaluation runs"], route_class=JsonRoute
)


class SessionRunTemplate(BaseModel):
    """A run template."""

    metric: MetricInfo
    filters: SessionFilters
    sampling_rate: float = 1
    model: str
    signal_weights: dict[str, float]


@router.post(
    "",
    status_code=202,
    summary="Create a run over matching sessions",
    description=(
        "Each session is judged by the signals of its traces. Signals of unchanged traces are "
        "reused. The other signals are judged and stored as trace scores of the run. "
        "`total_traces` counts sessions."
    ),
    responses=errors.responses(409, 413, 415),
    response_model=EvalRunBody,
)
async def create_session_run(body: SessionRunBody, opener: Opener) -> Answer:
    async def check(db: Reader, project: ProjectId) -> None:
        if not await session_reads.any_match(db, project, body.filters):
            raise Invalid("No session matches these filters; nothing was started.")

    return await opener.create(
        RequestedRun(
            body,
            TargetType.SESSION,
            check,
            body.filters_given,
            body.sampling_rate,
            body.weights_given,
        )
    )


@router.post(
    "/batch",
    status_code=202,
    summary="Create a run over given sessions",
    responses=errors.responses(409, 413, 415),
    response_model=EvalRunBody,
)
async def create_session_batch(body: SessionBatchBody, opener: Opener) -> Answer:
    async def check(db: Reader, project: ProjectId) -> None:
        refuse_unknown("session", await session_reads.unknown_ids(db, project, body.session_ids))

    named = {"session_ids": body.session_ids}
    return await opener.create(
        RequestedRun(body, TargetType.SESSION, check, named, signal_weights=body.weights_given)
    )


@router.get("/template", summary="Get a run template", responses=errors.responses())
async def get_session_run_template(
    metric: Annotated[Label, Query(description="A name from /evaluations/session-metrics.")],
    _project: ReadProject,
    stack: CurrentStack,
) -> SessionRunTemplate:
    info = MetricInfo.in_full(catalog.session_metric(metric))
    async with stack.database.read() as db:
        model = await model_choice.default_model(stack, db)
    return SessionRunTemplate(
        metric=info, filters=SessionFilters(), model=model, signal_weights=dict(SIGNAL_WEIGHTS)
    )


FigureRoutes(TargetType.SESSION).add_to(router)
RunRoutes(TargetType.SESSION).add_to(router)
