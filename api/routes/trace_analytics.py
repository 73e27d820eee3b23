"""Analytics of traces."""

from typing import Annotated

from fastapi import APIRouter, Query

from api import errors
from api.dependencies import CurrentStack, ReadProject
from api.http.json_body import JsonRoute
from api.schemas.analytics import TraceFiguresQuery
from api.schemas.pages import PageOf, PageQuery
from core.queries import trace_analytics
from core.queries.trace_analytics import (
    ModelFigures,
    SpendBucket,
    TraceFigure,
    TrafficBucket,
    UserFigures,
)

router = APIRouter(prefix="/traces", tags=["Analytics"], route_class=JsonRoute)


@router.get(
    "/users",
    summary="List users",
    description="Users of traces, most recently seen first.",
    responses=errors.responses(),
)
async def list_users(
    query: Annotated[PageQuery, Query()], project: ReadProject, stack: CurrentStack
) -> PageOf[UserFigures]:
    async with stack.database.read() as db:
        found, total = await trace_analytics.users(db, project, query.page)
    return PageOf.of(query, found, total)


@router.get(
    "/analytics",
    summary="Get trace analytics",
    description=(
        "Metrics over time are in UTC, oldest first; weeks start on Monday, and periods without "
        "traces are omitted. Percentiles are exact. `models` lists the most called models first, "
        "independent of the granularity."
    ),
    responses=errors.responses(),
)
async def get_trace_analytics(
    query: Annotated[TraceFiguresQuery, Query()], project: ReadProject, stack: CurrentStack
) -> list[TrafficBucket] | list[SpendBucket] | list[ModelFigures]:
    period, granularity = query.period, query.granularity
    async with stack.database.read() as db:
        match query.metric:
            case TraceFigure.VOLUME | TraceFigure.ERRORS | TraceFigure.LATENCY:
                return await trace_analytics.traffic(db, project, period, granularity)
            case TraceFigure.COST | TraceFigure.TOKENS:
                return await trace_analytics.spend(db, project, period, granularity)
            case TraceFigure.MODELS:
                return await trace_analytics.models(db, project, period)
