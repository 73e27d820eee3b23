"""The page of a run: live while the run is open, an analysis of its scores afterwards."""

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, Response
from markupsafe import Markup

from api.dashboard import charts, formats, live_run, rendering, run_parts, views
from api.dashboard.access import PageViewer, ProjectViewer
from api.dashboard.run_parts import RunAddress, RunPart
from api.runs import budget_view, figures, progress
from api.schemas.runs import EvalRunBody
from core.ids import TargetType
from core.queries import run_pairs, run_rows
from core.queries.run_breakdown import Dimension
from core.queries.run_figures import MetricFigures

if TYPE_CHECKING:
    from core.db.tables import EvalRun

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True, slots=True)
class RunMetricRow:
    figures: MetricFigures
    question: str
    interval: Markup | None
    histogram: Markup


@router.get("/ui/{project}/runs/{run_id}")
async def run(
    request: Request,
    viewer: PageViewer,
    run_id: UUID,
    parameters: Annotated[RunAddress, Query()],
) -> Response:
    async with viewer.stack.database.read() as db:
        row = await run_rows.get(db, viewer.project.id, run_id)
    body = await progress.live(viewer.stack, row)
    if not body.status.terminal:
        live = await live_run.context(viewer, row, body)
        return rendering.page(request, "run_live.html", viewer, section="runs", view=live, **live)
    async with viewer.stack.database.read() as db:
        row = await run_rows.get(db, viewer.project.id, run_id)
        pairs = await run_pairs.count_of(db, row)
    context = await _ended(request, viewer, row, parameters, pairs)
    return rendering.page(request, "run.html", viewer, section="runs", **context)


@router.get("/ui/{project}/runs/{run_id}/parts/{part}")
async def run_part(
    request: Request,
    viewer: PageViewer,
    run_id: UUID,
    part: RunPart,
    parameters: Annotated[RunAddress, Query()],
) -> HTMLResponse:
    """A part that was not ready in time for the page."""
    async with viewer.stack.database.read() as db:
        row = await run_rows.get(db, viewer.project.id, run_id)
        pairs = await run_pairs.count_of(db, row)
    context = _base(viewer, row, parameters, pairs)
    context |= await run_parts.whole(viewer, row, parameters, part)
    return rendering.page(request, f"run_{part.value}.html", viewer, **context)


def _base(
    viewer: ProjectViewer, row: "EvalRun", parameters: RunAddress, pairs: int
) -> dict[str, Any]:
    """The common values of the page and its parts."""
    body = EvalRunBody.of(row)
    return {
        "run": body,
        "scores": _scores_address(viewer, body),
        "asked_for": parameters,
        "metrics": row.metric_names,
        "dimensions": list(Dimension),
        "pairs": pairs,
        "failed": row.failed_count,
    }


async def _ended(
    request: Request, viewer: ProjectViewer, row: "EvalRun", parameters: RunAddress, pairs: int
) -> dict[str, Any]:
    base = _base(viewer, row, parameters, pairs)
    [body] = await budget_view.complete(viewer.stack.database, [base["run"]], [row])
    of_run = await figures.of_run(viewer.stack, viewer.project.id, row)
    parts, late = await run_parts.in_time(request, viewer, row, parameters)
    return (
        base
        | {
            "run": body,
            "name": views.run_name(body),
            "state": views.run_status(body),
            "took": formats.duration(
                (row.completed_at - row.created_at) if row.completed_at else timedelta()
            ),
            "chips": views.filter_chips(row.filters, row.sampling_rate),
            "rows": _metric_rows(of_run, base["scores"], parameters.sort),
            "scored": sum(one.scored for one in of_run),
            "failed": sum(one.failed for one in of_run),
            "not_applicable": sum(one.not_applicable for one in of_run),
            "of_traces": row.target_type is TargetType.TRACE,
            "late": late,
            "buckets": views.bucket_names(),
            "figure_rows": [views.figure_row(one) for one in of_run],
        }
        | parts
    )


def _scores_address(viewer: ProjectViewer, run: EvalRunBody) -> str:
    target = "" if run.target_type is TargetType.TRACE else "&target=SESSION"
    return viewer.at(f"/scores?run={run.id}{target}")


def _metric_rows(of_run: list[MetricFigures], scores: str, sort: str) -> list[RunMetricRow]:
    about = views.questions()
    rows = [
        RunMetricRow(
            figures=one,
            question=about.get(one.name, ""),
            interval=None
            if one.sums.mean is None
            else charts.interval(one.sums.mean, one.sums.interval, one.threshold),
            histogram=charts.histogram(
                one.histogram, one.threshold, one.name, f"{scores}&metric={one.name}"
            ),
        )
        for one in of_run
    ]
    if sort == "passed":
        rows.sort(key=lambda row: row.figures.passed / max(1, row.figures.scored))
    elif sort != "given":
        # The worst metric first; metrics without a mean last.
        rows.sort(key=lambda row: 2.0 if row.figures.sums.mean is None else row.figures.sums.mean)
    return rows
