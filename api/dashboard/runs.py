"""The list of runs."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse

from api.dashboard import rendering, run_rows_view, views
from api.dashboard.access import PageViewer
from api.dashboard.list_address import SortedListAddress, member
from api.dashboard.views import Chip
from core.ids import RunStatus, TargetType
from core.queries import run_listing
from core.queries.run_listing import RunFilters, RunSortKey
from core.safe_text import PlainText

router = APIRouter(include_in_schema=False)

_A_PAGE = 25
_STATUSES = {
    "open": (RunStatus.PENDING, RunStatus.RUNNING),
    "completed": (RunStatus.COMPLETED,),
    "failed": (RunStatus.FAILED,),
}

_PAUSED = "paused"


class RunListAddress(SortedListAddress):
    name: PlainText = ""
    status: PlainText = ""
    metric: PlainText = ""
    model: PlainText = ""
    target: PlainText = ""
    by: PlainText = ""

    def filters(self) -> RunFilters:
        return RunFilters(
            name=self.name or None,
            statuses=_STATUSES.get(self.status, ()),
            metric=self.metric or None,
            model=self.model or None,
            target_type=member(TargetType, self.target),
            of_monitors={"monitor": True, "person": False}.get(self.by),
            since=views.period_start(self.since),
            paused=True if self.status == _PAUSED else None,
        )

    @property
    def sort_by(self) -> RunSortKey:
        return member(RunSortKey, self.sort) or RunSortKey.CREATED


@router.get("/ui/{project}/runs")
async def runs(
    request: Request, viewer: PageViewer, parameters: Annotated[RunListAddress, Query()]
) -> HTMLResponse:
    page = parameters.page(_A_PAGE)
    async with viewer.stack.database.read() as db:
        project = viewer.project.id
        found, total = await run_listing.page(
            db, project, parameters.filters(), page, parameters.sort_by
        )
        everything = await run_listing.count(db, project, RunFilters())
        counts = {
            name: await run_listing.count(db, project, RunFilters(statuses=statuses))
            for name, statuses in _STATUSES.items()
        }
        models = await run_listing.models(db, project)
    rows = await run_rows_view.rows(viewer, found)
    at = rendering.Addresses(request)
    return rendering.page(
        request,
        "runs.html",
        viewer,
        section="runs",
        asked_for=parameters,
        rows=rows,
        columns=views.metric_columns([row.run for row in rows]),
        page=views.page_view(at, page, len(rows), total),
        total=total,
        everything=everything,
        counts=counts,
        statuses=[*_STATUSES, _PAUSED],
        metrics=views.metric_names(),
        models=models,
        chips=_chips(parameters, at),
        short_metric=views.short_metric,
    )


def _chips(parameters: RunListAddress, at: rendering.Addresses) -> list[Chip]:
    words = {"since": "since", "target": "target", "by": "started by"}
    given = {name: getattr(parameters, name) for name in words}
    return [
        Chip(words[name], value.lower(), at(**{name: None}))
        for name, value in given.items()
        if value
    ]
