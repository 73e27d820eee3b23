"""The list of traces."""

from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse
from pydantic import Field

from api.dashboard import rendering, views
from api.dashboard.access import PageViewer, ProjectViewer
from api.dashboard.list_address import SortedListAddress, member
from api.dashboard.views import Chip
from core.filters import TraceListFilters
from core.ids import TargetType, TraceStatus
from core.queries import score_reads, trace_reads, trace_titles
from core.queries.trace_reads import Listing, TraceSortKey
from core.queries.trace_titles import TraceTitle
from core.safe_text import PlainText

router = APIRouter(include_in_schema=False)

_A_PAGE = 50


class TraceListAddress(SortedListAddress):
    name: PlainText = ""
    status: PlainText = ""
    user: PlainText = ""
    session: PlainText = ""
    tag: list[PlainText] = Field(default_factory=list, max_length=50)

    def filters(self) -> TraceListFilters:
        return TraceListFilters(
            name=self.name or None,
            status=member(TraceStatus, self.status),
            user_id=self.user or None,
            session_id=self.session or None,
            tags=[tag for tag in self.tag if tag] or None,
            started_after=views.period_start(self.since),
        )

    @property
    def sort_by(self) -> TraceSortKey:
        return member(TraceSortKey, self.sort) or TraceSortKey.STARTED_AT


@dataclass(frozen=True, slots=True)
class TraceRow:
    row: Any
    title: TraceTitle
    tags: list[str]
    cells: dict[str, tuple[views.Cell, Any]]


@router.get("/ui/{project}/traces")
async def traces(
    request: Request, viewer: PageViewer, parameters: Annotated[TraceListAddress, Query()]
) -> HTMLResponse:
    async def work() -> dict[str, Any]:
        return await _list_context(request, viewer, parameters)

    return await rendering.page_in_time(
        request,
        "traces.html",
        viewer,
        work,
        heading="Traces",
        section="traces",
        asked_for=parameters,
        statuses=[status.value for status in TraceStatus],
        chips=_chips(parameters, rendering.Addresses(request)),
        sort_keys=[key.value for key in TraceSortKey],
    )


async def _list_context(
    request: Request, viewer: ProjectViewer, parameters: TraceListAddress
) -> dict[str, Any]:
    project, page = viewer.project.id, parameters.page(_A_PAGE)
    listing = Listing(page.limit, page.offset, parameters.sort_by)
    async with viewer.stack.database.read() as db:
        found, total = await trace_reads.page(db, project, parameters.filters(), listing)
        ids = [one.row.id for one in found]
        titles = await trace_titles.of_traces(db, project, ids)
        scores = await score_reads.latest_of_each(
            db, project, TargetType.TRACE, [str(trace_id) for trace_id in ids]
        )
    rows = [
        TraceRow(
            one.row,
            titles.get(one.row.id, views.GONE),
            one.tags,
            views.score_cells(scores.get(str(one.row.id), ())),
        )
        for one in found
    ]
    return {
        "rows": rows,
        "columns": _columns(rows),
        "page": views.page_view(rendering.Addresses(request), page, len(rows), total),
        "total": total,
    }


def _columns(rows: list[TraceRow], most: int = 5) -> list[str]:
    """The metrics by which most traces of the page have a score."""
    counts: dict[str, int] = {}
    for row in rows:
        for name in row.cells:
            counts[name] = counts.get(name, 0) + 1
    return sorted(sorted(counts, key=lambda name: (-counts[name], name))[:most])


def _chips(parameters: TraceListAddress, at: rendering.Addresses) -> list[Chip]:
    chips = [
        Chip(word, value, at(**{name: None}))
        for name, word, value in (
            ("user", "user", parameters.user),
            ("session", "session", parameters.session),
            ("since", "since", parameters.since),
        )
        if value
    ]
    return chips + [Chip("tag", tag, at(tag=None)) for tag in parameters.tag if tag]
