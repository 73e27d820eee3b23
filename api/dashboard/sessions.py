"""The list of sessions."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse

from api.dashboard import rendering, views
from api.dashboard.access import PageViewer, ProjectViewer
from api.dashboard.list_address import SortedListAddress, member
from api.dashboard.views import Chip
from core.filters import SessionListFilters
from core.ids import TargetType
from core.queries import score_reads, session_reads
from core.queries.session_listing import SessionSortKey
from core.safe_text import PlainText
from evals import catalog

router = APIRouter(include_in_schema=False)

_A_PAGE = 50


class SessionListAddress(SortedListAddress):
    q: PlainText = ""
    user: PlainText = ""
    errors: PlainText = ""
    tag: PlainText = ""

    def filters(self) -> SessionListFilters:
        return SessionListFilters(
            query=self.q or None,
            user_id=self.user or None,
            has_error={"yes": True, "no": False}.get(self.errors),
            tags=[self.tag] if self.tag else None,
            started_after=views.period_start(self.since),
        )

    @property
    def sort_by(self) -> SessionSortKey:
        return member(SessionSortKey, self.sort) or SessionSortKey.RECENT


@router.get("/ui/{project}/sessions")
async def sessions(
    request: Request, viewer: PageViewer, parameters: Annotated[SessionListAddress, Query()]
) -> HTMLResponse:
    async def work() -> dict[str, Any]:
        return await _list_context(request, viewer, parameters)

    at = rendering.Addresses(request)
    return await rendering.page_in_time(
        request,
        "sessions.html",
        viewer,
        work,
        heading="Sessions",
        section="sessions",
        asked_for=parameters,
        metrics=[metric.name for metric in catalog.session_metrics()],
        chips=[Chip("since", parameters.since, at(since=None))] if parameters.since else [],
    )


async def _list_context(
    request: Request, viewer: ProjectViewer, parameters: SessionListAddress
) -> dict[str, Any]:
    project, page = viewer.project.id, parameters.page(_A_PAGE)
    async with viewer.stack.database.read() as db:
        found, total = await session_reads.page(
            db, project, parameters.filters(), page, (parameters.sort_by, True)
        )
        scores = await score_reads.latest_of_each(
            db, project, TargetType.SESSION, [one.row.session_id for one in found]
        )
    return {
        "found": found,
        "cells": {session: views.score_cells(of_session) for session, of_session in scores.items()},
        "page": views.page_view(rendering.Addresses(request), page, len(found), total),
        "total": total,
    }
