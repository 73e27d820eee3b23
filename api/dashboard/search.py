"""Search for a run, trace, session, score or monitor by id or name."""

from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel, Field

from api.dashboard import rendering
from api.dashboard.access import PageViewer
from core.queries import search as search_queries
from core.safe_text import PlainText

router = APIRouter(include_in_schema=False)


class SearchAddress(BaseModel):
    q: PlainText = Field("", max_length=512)


@router.get("/ui/{project}/search")
async def search(
    request: Request, viewer: PageViewer, parameters: Annotated[SearchAddress, Query()]
) -> Response:
    """Redirects to a single result that was found by its whole id."""
    text = parameters.q.strip()
    project = viewer.project.id
    async with viewer.stack.database.read() as db:
        exact = [
            one for one in await search_queries.by_id(db, project, text) if one.id == text.lower()
        ]
        exact += [one for one in await search_queries.sessions(db, project, text) if one.id == text]
    if len(exact) == 1:
        return rendering.redirect(viewer.at(f"/{exact[0].kind}s/{quote(exact[0].id, safe='')}"))

    async def work() -> dict[str, Any]:
        async with viewer.stack.database.read() as db:
            return {"found": await search_queries.by_text(db, project, text) if text else []}

    return await rendering.page_in_time(
        request, "search.html", viewer, work, heading="Find", text=text
    )
