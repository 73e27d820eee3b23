"""The first page of a project: what needs attention, open runs, and trends of scores."""

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import partial
from math import ceil, floor
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from api.dashboard import charts, needs, rendering, run_rows_view, views
from api.dashboard.access import PageViewer, ProjectViewer
from api.runs import model_choice
from core import clock
from core.db.database import Reader
from core.db.paging import Page
from core.db.sql_functions import Granularity
from core.filters import TraceListFilters
from core.ids import RunStatus, TargetType
from core.queries import run_listing, score_analytics, trace_reads, usage, workers
from core.queries.run_listing import RunFilters
from core.queries.score_analytics import ScoreWindow, TrendPoint
from core.queries.usage import UsageGrouping
from evals.judges.offline import OFFLINE_MODEL

if TYPE_CHECKING:
    pass

router = APIRouter(include_in_schema=False)

_PERIODS = {"24h": "24 hours", "7d": "7 days", "14d": "14 days", "90d": "90 days"}
_SPEND_DAYS = 7


@dataclass(frozen=True, slots=True)
class MetricTrend:
    name: str
    last: float
    change: float
    moved: bool
    chart: object


class OverviewPart(StrEnum):
    """The parts of the page that read many rows."""

    TRACES = "traces"
    SCORES = "scores"
    SPEND = "spend"


@router.get("/ui/{project}")
async def overview(request: Request, viewer: PageViewer, since: str = "14d") -> HTMLResponse:
    period = since if since in _PERIODS else "14d"
    project = viewer.project.id
    async with viewer.stack.database.read() as db:
        newest = await trace_reads.newest(db, project)
        if newest is None:
            return await first_minute(request, viewer, db)
        stopped = await needs.stopped(db, viewer, views.period_start(period))
        open_rows, _ = await run_listing.page(
            db, project, RunFilters(statuses=(RunStatus.PENDING, RunStatus.RUNNING)), Page(20)
        )
    open_needs = [*await needs.paused(viewer), *stopped]
    parts = list(OverviewPart)
    ready = await asyncio.gather(
        *(
            rendering.part(
                request,
                viewer,
                ("overview", project, period, part),
                partial(_part, viewer, period, part),
            )
            for part in parts
        ),
    )
    shown: dict[str, Any] = {}
    for one in ready:
        shown |= one or {}
    return rendering.page(
        request,
        "overview.html",
        viewer,
        section="overview",
        periods=_PERIODS,
        period=period,
        newest=newest.started_at,
        newest_id=newest.id,
        needs=open_needs,
        under_way=await run_rows_view.rows(viewer, open_rows),
        late={part.value for part, one in zip(parts, ready, strict=True) if one is None},
        **shown,
    )


@router.get("/ui/{project}/overview/{part}")
async def overview_part(
    request: Request, viewer: PageViewer, part: OverviewPart, since: str = "14d"
) -> HTMLResponse:
    """A part that was not ready in time for the page."""
    period = since if since in _PERIODS else "14d"
    key = ("overview", viewer.project.id, period, part)
    ready = await viewer.stack.slow_parts.whole(key, partial(_part, viewer, period, part))
    return rendering.page(
        request,
        f"overview_{part.value}.html",
        viewer,
        periods=_PERIODS,
        period=period,
        **ready,
    )


async def _part(viewer: ProjectViewer, period: str, part: OverviewPart) -> dict[str, Any]:
    start = views.period_start(period)
    async with viewer.stack.database.read() as db:
        match part:
            case OverviewPart.TRACES:
                filters = TraceListFilters(started_after=start)
                return {"traces": await trace_reads.count(db, viewer.project.id, filters)}
            case OverviewPart.SCORES:
                points = await _trend(db, viewer, start, period)
                return {
                    "judged": sum(point.count for point in points),
                    "trends": _charts(points),
                    "scale": _scale(points),
                    "trend_rows": [_trend_row(point) for point in points],
                }
            case OverviewPart.SPEND:
                return {"spend": await _spend(db, viewer)}


async def _trend(
    db: Reader, viewer: ProjectViewer, start: datetime | None, period: str
) -> list[TrendPoint]:
    granularity = Granularity.HOUR if period == "24h" else Granularity.DAY
    scope = ScoreWindow(viewer.project.id, TargetType.TRACE, start=start)
    return await score_analytics.trend(db, scope, granularity)


def _trend_row(point: TrendPoint) -> list[str | float | int | None]:
    low, high = point.interval or (None, None)
    began = f"{point.bucket:%Y-%m-%d %H:%M}"
    return [began, point.metric_name, point.avg_score, low, high, point.count]


@dataclass(frozen=True, slots=True)
class Spend:
    """The last seven days.

    `pairs` counts scores from a judge or a stored answer. `unpriced` counts days with a call of
    unknown price.
    """

    days: list[tuple[str, float]]
    total_usd: float
    saved_usd: float
    pairs: int
    unpriced: int


async def _spend(db: Reader, viewer: ProjectViewer) -> Spend | None:
    """None without any judge call."""
    today = clock.now().replace(hour=0, minute=0, second=0, microsecond=0)
    start = today - timedelta(days=_SPEND_DAYS - 1)
    groups = await usage.grouped(db, viewer.project.id, UsageGrouping.DAY, start=start, end=None)
    by_day = {group.group: group for group in groups}
    days = [start + timedelta(days=n) for n in range(_SPEND_DAYS)]
    if not any(group.judge_calls or group.cached_calls for group in groups):
        return None
    return Spend(
        days=[
            (f"{day:%a}", (found.cost_usd or 0.0) if found else 0.0)
            for day in days
            for found in [by_day.get(day.date().isoformat())]
        ],
        total_usd=sum(group.cost_usd or 0.0 for group in groups),
        saved_usd=sum(group.saved_usd or 0.0 for group in groups),
        pairs=sum(group.pairs_judged + group.pairs_from_cache for group in groups),
        unpriced=sum(1 for group in groups if group.cost_usd is None),
    )


def _scale(points: list[TrendPoint]) -> float:
    """The lower end of the common scale of all trends: a tenth below the lowest mean."""
    lowest = min((point.avg_score for point in points), default=0.0)
    return max(0.0, floor(lowest * 10 - 0.5) / 10)


def _charts(points: list[TrendPoint]) -> list[MetricTrend]:
    low = _scale(points)
    by_metric: dict[str, list[TrendPoint]] = {}
    for point in points:
        by_metric.setdefault(point.metric_name, []).append(point)
    return [_chart(name, of_metric, low) for name, of_metric in sorted(by_metric.items())]


def _chart(name: str, points: list[TrendPoint], low: float) -> MetricTrend:
    hourly = len(points) > 1 and points[1].bucket - points[0].bucket < timedelta(days=1)
    drawn = [
        charts.Point(
            f"{point.bucket:%H:%M}" if hourly else f"{point.bucket.day} {point.bucket:%b}",
            point.avg_score,
            *(point.interval or (point.avg_score, point.avg_score)),
        )
        for point in points
    ]
    first, last = points[: max(1, ceil(len(points) / 2))], points[-1]
    weight = sum(point.count for point in first)
    before = sum(point.avg_score * point.count for point in first) / weight
    interval = last.interval
    moved = len(points) > 1 and interval is not None and not interval[0] <= before <= interval[1]
    return MetricTrend(
        name=name,
        last=last.avg_score,
        change=last.avg_score - before,
        moved=moved,
        chart=charts.trend(drawn, low, 1),
    )


async def first_minute(request: Request, viewer: ProjectViewer, db: Reader) -> HTMLResponse:
    """The overview of a project without traces, which explains how to send the first one."""
    offer = await workers.offered(db)
    model = await model_choice.default_model(viewer.stack, db)
    return rendering.page(
        request,
        "first_minute.html",
        viewer,
        section="overview",
        address=str(request.base_url).rstrip("/"),
        worker_seen=offer.seen,
        model=model,
        is_baseline=model == OFFLINE_MODEL,
        database=viewer.stack.database.engine.dialect.name,
    )
