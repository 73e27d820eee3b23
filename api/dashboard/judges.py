"""The page of judges: providers that the workers can use, and what runs wait for."""

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from api.dashboard import rendering, run_rows_view, waits
from api.dashboard.access import PageViewer
from api.runs import model_choice
from core import clock
from core.db.paging import Page
from core.ids import RunStatus
from core.queries import run_listing, workers
from core.queries.run_listing import RunFilters

router = APIRouter(include_in_schema=False)

_MAX_OPEN = 50


@router.get("/ui/{project}/judges")
async def judges(request: Request, viewer: PageViewer) -> HTMLResponse:
    async with viewer.stack.database.read() as db:
        offer = await workers.offered(db)
        seen = await workers.seen_lately(db)
        default = await model_choice.default_model(viewer.stack, db)
        open_runs, _ = await run_listing.page(
            db,
            viewer.project.id,
            RunFilters(statuses=(RunStatus.PENDING, RunStatus.RUNNING)),
            Page(_MAX_OPEN),
        )
    return rendering.page(
        request,
        "judges.html",
        viewer,
        section="judges",
        offer=offer,
        workers=seen,
        silent_before=clock.seconds_ago(workers.SILENT_AFTER_SECONDS),
        default_model=default,
        throttles=await waits.throttles(viewer),
        rows=await run_rows_view.rows(viewer, open_runs),
    )
