"""Score analytics, for traces and for sessions."""

from typing import Annotated

from fastapi import APIRouter, Query

from api import errors
from api.dependencies import CurrentStack, ReadProject
from api.http.json_body import JsonRoute
from api.schemas.analytics import DistributionQuery, ScoreWindowQuery, TrendQuery
from core.ids import TargetType
from core.queries import score_analytics
from core.queries.score_analytics import DistributionBucket, MetricSummary, TrendPoint


def _figures(target_type: TargetType) -> APIRouter:
    noun = target_type.lower()
    router = APIRouter(
        prefix=f"/evaluations/analytics/{noun}-scores", tags=["Analytics"], route_class=JsonRoute
    )

    @router.get(
        "/summary",
        name=f"summarise_{noun}_scores",
        summary="Get a score summary by metric",
        description="Statistics cover numeric successes; counts include all scores.",
        responses=errors.responses(),
    )
    async def summarise(
        query: Annotated[ScoreWindowQuery, Query()], project: ReadProject, stack: CurrentStack
    ) -> list[MetricSummary]:
        async with stack.database.read() as db:
            return await score_analytics.summary(db, query.scope(project, target_type))

    @router.get(
        "/trend",
        name=f"{noun}_score_trend",
        summary="Get a score trend",
        description="Numeric successes only, oldest first, in UTC; weeks start on Monday.",
        responses=errors.responses(),
    )
    async def trend(
        query: Annotated[TrendQuery, Query()], project: ReadProject, stack: CurrentStack
    ) -> list[TrendPoint]:
        scope = query.scope(project, target_type, query.metric_name)
        async with stack.database.read() as db:
            return await score_analytics.trend(db, scope, query.granularity)

    @router.get(
        "/distribution",
        name=f"{noun}_score_distribution",
        summary="Get a score distribution",
        description="Numeric successes only. Lists every bucket; the last bucket includes 1.0.",
        responses=errors.responses(),
    )
    async def distribution(
        query: Annotated[DistributionQuery, Query()], project: ReadProject, stack: CurrentStack
    ) -> list[DistributionBucket]:
        scope = query.scope(project, target_type, query.metric_name)
        async with stack.database.read() as db:
            return await score_analytics.distribution(db, scope, query.buckets)

    return router


router = APIRouter()
for _target_type in TargetType:
    router.include_router(_figures(_target_type))
