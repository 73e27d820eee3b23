"""The page of a monitor: its runs over time, and its actions."""

from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, Response
from markupsafe import Markup

from api.dashboard import charts, rendering, run_rows_view, views
from api.dashboard.access import PageViewer, PageWriter
from api.dashboard.charts import Whisker
from api.dashboard.list_address import ListAddress
from api.dashboard.monitors import cadence_words
from api.routes import monitors as acts
from api.runs import figures
from api.runs.run_opener import RunOpener
from api.schemas.monitors import Monitor
from api.schemas.runs import EvalRunBody
from core.db.paging import Page
from core.queries import monitor_rows
from core.queries.run_figures import MetricFigures
from core.safe_text import PlainText

if TYPE_CHECKING:
    from core.db.tables import EvalRun

router = APIRouter(include_in_schema=False)

_A_PAGE = 20
_MAX_HISTORY = 60


class MonitorAddress(ListAddress):
    metric: PlainText = ""


@router.get("/ui/{project}/monitors/{monitor_id}")
async def monitor(
    request: Request,
    viewer: PageViewer,
    monitor_id: UUID,
    parameters: Annotated[MonitorAddress, Query()],
) -> HTMLResponse:
    project, page = viewer.project.id, parameters.page(_A_PAGE)
    async with viewer.stack.database.read() as db:
        row = await monitor_rows.get(db, project, monitor_id)
        found, total = await monitor_rows.page_of_runs(db, project, monitor_id, page)
        past, _ = await monitor_rows.page_of_runs(db, project, monitor_id, Page(_MAX_HISTORY))
    of_past = await figures.of_runs(viewer.stack, project, past)
    [(row, at)] = await viewer.stack.clockwork.upcoming([row])
    shown = Monitor.of(row, next_run_at=at)
    metric = parameters.metric if parameters.metric in row.metric_names else row.metric_names[0]
    return rendering.page(
        request,
        "monitor.html",
        viewer,
        section="monitors",
        monitor=shown,
        cadence=cadence_words(row.cadence),
        chips=views.filter_chips(row.filters, row.sampling_rate),
        metric=metric,
        history=_history(past, of_past, metric, viewer.at("/runs")),
        history_rows=[_history_row(one, of_past, metric) for one in past],
        rows=await run_rows_view.rows(viewer, found),
        total=total,
        page=views.page_view(rendering.Addresses(request), page, len(found), total),
        short_metric=views.short_metric,
    )


def _history_row(
    row: "EvalRun", by_run: dict[UUID, dict[str, MetricFigures]], metric: str
) -> list[str | float | int | None]:
    """The start of the run (UTC), its mean with the interval, and the number of scores."""
    found = by_run.get(row.id, {}).get(metric)
    low, high = (found.sums.interval if found else None) or (None, None)
    mean = found.sums.mean if found else None
    began = f"{row.created_at:%Y-%m-%d %H:%M}"
    return [began, mean, low, high, found.scored if found else 0]


def _history(
    past: "list[EvalRun]",
    by_run: dict[UUID, dict[str, MetricFigures]],
    metric: str,
    runs: str,
) -> Markup | None:
    """Oldest run on the left; None for fewer than two runs with a number."""
    drawn = [
        (row, by_run[row.id][metric]) for row in reversed(past) if metric in by_run.get(row.id, {})
    ]
    numbered = [(row, one, one.sums.mean) for row, one in drawn if one.sums.mean is not None]
    if len(numbered) < 2:
        return None
    start, end = numbered[0][0].created_at, numbered[-1][0].created_at
    span = (end - start).total_seconds() or 1
    points = []
    lowest = 1.0
    for row, one, mean in numbered:
        low, high = one.sums.interval or (mean, mean)
        lowest = min(lowest, low)
        x = (row.created_at - start).total_seconds() / span
        began = f"{row.created_at:%d %b %H:%M}"
        title = f"{began}: {mean:.3f} ({low:.3f} to {high:.3f}), {one.scored} scores"
        points.append(
            Whisker(
                x, mean, low, high, title, f"{runs}/{row.id}", "lo" if mean < one.threshold else ""
            )
        )
    dates: list[tuple[float, str]] = [
        (0.0, f"{start.day} {start:%b}"),
        (1.0, f"{end.day} {end:%b}"),
    ]
    return charts.history(points, max(0.0, int(lowest * 10) / 10), dates)


async def _act(viewer: PageWriter, monitor_id: UUID, act: Any) -> Response:
    await act(monitor_id, viewer.project.id, viewer.stack)
    return rendering.redirect(viewer.at(f"/monitors/{monitor_id}"))


@router.post("/ui/{project}/monitors/{monitor_id}/pause")
async def pause(viewer: PageWriter, monitor_id: UUID) -> Response:
    return await _act(viewer, monitor_id, acts.pause_monitor)


@router.post("/ui/{project}/monitors/{monitor_id}/resume")
async def resume(viewer: PageWriter, monitor_id: UUID) -> Response:
    return await _act(viewer, monitor_id, acts.resume_monitor)


@router.post("/ui/{project}/monitors/{monitor_id}/trigger")
async def trigger(request: Request, viewer: PageWriter, monitor_id: UUID) -> Response:
    opener = RunOpener(viewer.stack, viewer.project.id, request.url.path, None)
    answer = await acts.trigger_monitor(monitor_id, viewer.project.id, viewer.stack, opener)
    run_id = answer.id if isinstance(answer, EvalRunBody) else answer["id"]
    return rendering.redirect(viewer.at(f"/runs/{run_id}"))


@router.post("/ui/{project}/monitors/{monitor_id}/delete")
async def delete(viewer: PageWriter, monitor_id: UUID) -> Response:
    await acts.delete_monitor(monitor_id, viewer.project.id, viewer.stack)
    return rendering.redirect(viewer.at("/monitors"))
