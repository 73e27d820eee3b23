"""Figures over scores: the same three for those of traces and those of sessions."""

from typing import Annotated

from fastapi import APIRouter, Query

from api import errors
from api.dependencies import CurrentStack, ReadProject
from api.models.analytics import DistributionQuery, ScoreWindowQuery, TrendQuery
from api.requests import JsonRoute
from core.ids import TargetType
from core.queries import analytics
from core.queries.analytics import DistributionBucket, MetricSummary, TrendPoint


def _figures(target_type: TargetType) -> APIRouter:
    noun = target_type.lower()
    made = APIRouter(
        prefix=f"/evaluations/analytics/{noun}-scores", tags=["Analytics"], route_class=JsonRoute
    )

    @made.get(
        "/summary",
        name=f"summarise_{noun}_scores",
        summary="What each metric came to",
        description="Numeric successes make the figures; the counts have every score.",
        responses=errors.responses(),
    )
    async def summarise(
        query: Annotated[ScoreWindowQuery, Query()], project: ReadProject, stack: CurrentStack
    ) -> list[MetricSummary]:
        async with stack.database.read() as db:
            return await analytics.summary(db, query.scope(project, target_type))

    @made.get(
        "/trend",
        name=f"{noun}_score_trend",
        summary="How scores change over time",
        description="Numeric successes only, oldest first, in UTC; weeks start on Monday.",
        responses=errors.responses(),
    )
    async def trend(
        query: Annotated[TrendQuery, Query()], project: ReadProject, stack: CurrentStack
    ) -> list[TrendPoint]:
        scope = query.scope(project, target_type, query.metric_name)
        async with stack.database.read() as db:
            return await analytics.trend(db, scope, query.granularity)

    @made.get(
        "/distribution",
        name=f"{noun}_score_distribution",
        summary="How the scores of a metric spread over [0, 1]",
        description="Numeric successes only. Every bucket is there; 1.0 is in the last.",
        responses=errors.responses(),
    )
    async def distribution(
        query: Annotated[DistributionQuery, Query()], project: ReadProject, stack: CurrentStack
    ) -> list[DistributionBucket]:
        scope = query.scope(project, target_type, query.metric_name)
        async with stack.database.read() as db:
            return await analytics.distribution(db, scope, query.buckets)

    return made


router = APIRouter()
for _target_type in TargetType:
    router.include_router(_figures(_target_type))
