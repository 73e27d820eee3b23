"""Figures over traces."""

from typing import Annotated

from fastapi import APIRouter, Query

from api import errors
from api.dependencies import CurrentStack, ReadProject
from api.models.analytics import TraceFiguresQuery
from api.models.pages import PageOf, PageQuery
from api.requests import JsonRoute
from core.queries import trace_figures
from core.queries.trace_figures import (
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
    description="Who the traces were made for, by user id.",
    responses=errors.responses(),
)
async def list_users(
    query: Annotated[PageQuery, Query()], project: ReadProject, stack: CurrentStack
) -> PageOf[UserFigures]:
    async with stack.database.read() as db:
        found, total = await trace_figures.users(db, project, query.page)
    return PageOf(items=found, total=total, limit=query.limit, offset=query.offset)


@router.get(
    "/analytics",
    summary="Traces in figures",
    description="Over time, oldest first, in UTC; weeks start on Monday, and times without a "
    "trace are left out. Percentiles are exact. By model: the most called first, whatever the "
    "granularity.",
    responses=errors.responses(),
)
async def trace_analytics(
    query: Annotated[TraceFiguresQuery, Query()], project: ReadProject, stack: CurrentStack
) -> list[TrafficBucket] | list[SpendBucket] | list[ModelFigures]:
    period, granularity = query.period, query.granularity
    async with stack.database.read() as db:
        match query.metric:
            case TraceFigure.VOLUME | TraceFigure.ERRORS | TraceFigure.LATENCY:
                return await trace_figures.traffic(db, project, period, granularity)
            case TraceFigure.COST | TraceFigure.TOKENS:
                return await trace_figures.spend(db, project, period, granularity)
            case TraceFigure.MODELS:
                return await trace_figures.models(db, project, period)
