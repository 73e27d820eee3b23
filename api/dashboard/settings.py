"""The page of settings: project, signed-in key, API keys, and usage."""

from collections.abc import Callable, Coroutine, Hashable
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response

from api.dashboard import rendering
from api.dashboard.access import PageAdmin, PageViewer, ProjectViewer
from core import clock
from core.db.paging import Page
from core.errors import Invalid
from core.ids import Scope
from core.queries import api_keys, expired_rows, projects, usage
from core.queries.usage import UsageGroup, UsageGrouping
from core.retention import RetentionKind

router = APIRouter(include_in_schema=False)

_MAX_NAME: Final = 128
_MAX_DAYS: Final = 3650
_MAX_KEYS: Final = 200
_USAGE_DAYS: Final = 30


@router.get("/ui/{project}/settings")
async def settings(
    request: Request, viewer: PageViewer, by: UsageGrouping = UsageGrouping.MODEL
) -> HTMLResponse:
    return await _page(request, viewer, by=by)


async def _page(
    request: Request,
    viewer: ProjectViewer,
    *,
    new_key: str = "",
    by: UsageGrouping = UsageGrouping.MODEL,
) -> HTMLResponse:
    is_admin = viewer.may(Scope.ADMIN)
    async with viewer.stack.database.read() as db:
        keys, _ = await api_keys.page(db, Page(_MAX_KEYS), of_project=viewer.project.id)
        row = await projects.get(db, viewer.project.id)
    days = expired_rows.days_of(row, viewer.stack.settings.retention)
    used = await rendering.part(request, viewer, *_usage(viewer, by))
    return rendering.page(
        request,
        "settings.html",
        viewer,
        is_admin=is_admin,
        kept={kind.value: days.of(kind) for kind in RetentionKind},
        keys=keys if is_admin else [],
        used=used,
        by=by.value,
        groupings=[one.value for one in UsageGrouping],
        now=clock.now(),
        new_key=new_key,
        scopes=[scope.value for scope in Scope],
        address=str(request.base_url).rstrip("/"),
    )


def _usage(
    viewer: ProjectViewer, by: UsageGrouping
) -> tuple[Hashable, Callable[[], Coroutine[Any, Any, list[UsageGroup]]]]:
    """The key of the part, and the function that computes it."""

    async def work() -> list[UsageGroup]:
        start = clock.now() - timedelta(days=_USAGE_DAYS)
        async with viewer.stack.database.read() as db:
            return await usage.grouped(db, viewer.project.id, by, start=start, end=None)

    return ("usage", viewer.project.id, by), work


@router.get("/ui/{project}/settings/usage")
async def usage_part(
    request: Request, viewer: PageViewer, by: UsageGrouping = UsageGrouping.MODEL
) -> HTMLResponse:
    """The part with the usage, if it was not ready in time for the page."""
    used = await viewer.stack.slow_parts.whole(*_usage(viewer, by))
    return rendering.page(
        request,
        "settings_usage.html",
        viewer,
        used=used,
        by=by.value,
        groupings=[one.value for one in UsageGrouping],
    )


@router.post("/ui/{project}/settings/keys")
async def create_key(request: Request, viewer: PageAdmin) -> HTMLResponse:
    """The response shows the key, once; the page cannot be opened again."""
    form = await request.form()
    name = str(form.get("name", "")).strip()
    scope = str(form.get("scope", ""))
    days = str(form.get("days", "")).strip()
    if not 1 <= len(name) <= _MAX_NAME or scope not in list(Scope):
        raise Invalid("A key needs a name of 1 to 128 characters and a scope.")
    if days and (not days.isdecimal() or not 1 <= int(days[:6]) <= _MAX_DAYS):
        raise Invalid(f"A key lasts 1 to {_MAX_DAYS} days, or forever if the field is empty.")
    expires_at = clock.now() + timedelta(days=int(days)) if days else None
    async with viewer.stack.database.write() as db:
        _, text = await api_keys.create(
            db, api_keys.NewKey(name, Scope(scope), viewer.project.id, expires_at)
        )
    return await _page(request, viewer, new_key=text)


@router.post("/ui/{project}/settings/keys/{key_id}/revoke")
async def revoke_key(viewer: PageAdmin, key_id: UUID) -> Response:
    async with viewer.stack.database.write() as db:
        await api_keys.lock(db, key_id, of_project=viewer.project.id)
        await api_keys.revoke(db, key_id)
    return rendering.redirect(viewer.at("/settings"))
