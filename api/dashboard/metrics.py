"""The page of metrics: question, prompts, formula and versions in use."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from api.dashboard import rendering, views
from api.dashboard.access import PageViewer, ProjectViewer
from api.routes.metrics import MetricInfo
from core.errors import NotFound
from core.ids import TargetType
from core.queries import score_analytics, score_versions
from core.queries.score_analytics import MetricSummary, ScoreWindow
from evals import catalog
from evals.metric import SessionMetric, TraceMetric

router = APIRouter(include_in_schema=False)


def _every() -> list[TraceMetric | SessionMetric]:
    return [*catalog.signal_metrics(), *catalog.session_metrics()]


def _target_type(metric: TraceMetric | SessionMetric) -> TargetType:
    return TargetType.TRACE if isinstance(metric, TraceMetric) else TargetType.SESSION


@router.get("/ui/{project}/metrics")
async def metrics(request: Request, viewer: PageViewer) -> HTMLResponse:
    async def work() -> dict[str, Any]:
        summaries = await _summaries(viewer)
        return {"summaries": summaries, "figure_rows": _figure_rows(summaries)}

    return await rendering.page_in_time(
        request,
        "metrics.html",
        viewer,
        work,
        heading="Metrics",
        section="metrics",
        groups=[
            ("Of traces", [one for one in _every() if isinstance(one, TraceMetric)]),
            ("Of sessions", [one for one in _every() if isinstance(one, SessionMetric)]),
        ],
        thresholds=catalog.thresholds(),
    )


def _figure_rows(summaries: dict[str, MetricSummary]) -> list[list[str | float | int | None]]:
    """The figures behind the charts; a metric without a score has no row."""
    return [
        [
            one.name,
            *_means(summaries[one.name]),
            views.threshold_of(one.name),
            summaries[one.name].success_count,
        ]
        for one in _every()
        if one.name in summaries
    ]


def _means(summary: MetricSummary) -> tuple[float | None, float | None, float | None]:
    """The mean and the ends of its interval."""
    low, high = summary.interval or (None, None)
    return summary.avg_score, low, high


async def _summaries(viewer: ProjectViewer) -> dict[str, MetricSummary]:
    """By metric name, over 90 days."""
    summaries = {}
    async with viewer.stack.database.read() as db:
        for target_type in TargetType:
            scope = ScoreWindow(viewer.project.id, target_type, start=views.period_start("90d"))
            for one in await score_analytics.summary(db, scope):
                summaries[one.metric_name] = one
    return summaries


@router.get("/ui/{project}/metrics/{name}")
async def metric(request: Request, viewer: PageViewer, name: str) -> HTMLResponse:
    chosen = next((one for one in _every() if one.name == name), None)
    if chosen is None:
        raise NotFound("metric", name)
    async with viewer.stack.database.read() as db:
        versions = await score_versions.of_metric(
            db, viewer.project.id, _target_type(chosen), chosen.name
        )
    return rendering.page(
        request,
        "metric.html",
        viewer,
        section="metrics",
        metric=chosen,
        info=MetricInfo.in_full(chosen),
        threshold=views.threshold_of(name),
        of_sessions=isinstance(chosen, SessionMetric),
        versions=versions,
    )
