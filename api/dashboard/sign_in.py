"""Sign-in, sign-out, and the first page of a signed-in browser."""

import hmac
import secrets
from hashlib import sha256
from typing import Annotated, Final

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from api.dashboard import rendering
from api.dashboard.access import COOKIE, AnyViewer, project_slug
from api.dependencies import AppState, CurrentStack
from core.db.paging import Page
from core.errors import Forbidden
from core.queries import api_keys, dashboard_sessions, projects
from core.queries.dashboard_sessions import SESSION_LIFETIME
from core.safe_text import PlainText

router = APIRouter(include_in_schema=False)

_FORM_COOKIE: Final = "assay_sign_in"
_FORM_SECONDS: Final = 3600
_MAX_KEY_LENGTH: Final = 512
_MAX_PROJECTS: Final = 500

_UNKNOWN_KEY: Final = "This API key is unknown, revoked or expired."
_UNUSABLE_LINK: Final = (
    "This link was used before or is older than a day. Sign in with an API key, or start "
    "`assay up` again for a new link."
)


@router.get("/")
async def root() -> RedirectResponse:
    return RedirectResponse("/ui", status_code=302)


@router.get("/ui")
async def home(request: Request, viewer: AnyViewer, choose: bool = False) -> Response:
    """Redirects to the project of the key, or shows a choice of projects."""
    signed_in = viewer.signed_in
    async with viewer.stack.database.read() as db:
        rows, _ = await projects.page(db, Page(_MAX_PROJECTS), only=signed_in.bound_to)
    open_projects = [row for row in rows if row.deleted_at is None]
    home = [row for row in open_projects if row.id == signed_in.home]
    if not choose and (home or len(open_projects) == 1):
        [first, *_] = home or open_projects
        return rendering.redirect(f"/ui/{project_slug(first.id, first.name)}")
    return rendering.page(
        request, "projects.html", viewer, projects=open_projects, slug=project_slug
    )


@router.get("/ui/sign-in")
async def sign_in_form(
    request: Request,
    stack: CurrentStack,
    link: PlainText | None = None,
    following: Annotated[PlainText, Query(alias="next")] = "",
) -> Response:
    if link is None:
        return _form(request, following)
    async with stack.database.write() as db:
        secret = await dashboard_sessions.redeem_link(db, link)
    if secret is None:
        return _form(request, following, problem=_UNUSABLE_LINK, status=403)
    return _signed_in(request, secret, following)


@router.post("/ui/sign-in")
async def sign_in(
    request: Request,
    stack: CurrentStack,
    key: Annotated[PlainText, Form(max_length=_MAX_KEY_LENGTH)] = "",
    csrf: Annotated[PlainText, Form()] = "",
    following: Annotated[PlainText, Form(alias="next")] = "",
) -> Response:
    expected = _token(request.cookies.get(_FORM_COOKIE, ""))
    if not request.cookies.get(_FORM_COOKIE) or not hmac.compare_digest(
        expected.encode(), csrf.encode()
    ):
        raise Forbidden("This form is out of date. Go back, reload the page and try again.")
    secret = await _session_of_key(stack, key.strip())
    if secret is None:
        return _form(request, following, problem=_UNKNOWN_KEY, status=403)
    return _signed_in(request, secret, following)


@router.post("/ui/sign-out")
async def sign_out(viewer: AnyViewer, csrf: Annotated[PlainText, Form()] = "") -> RedirectResponse:
    viewer.check_csrf(csrf)
    async with viewer.stack.database.write() as db:
        await dashboard_sessions.close_session(db, viewer.secret)
    answer = rendering.redirect("/ui/sign-in")
    answer.delete_cookie(COOKIE, path="/ui")
    return answer


async def _session_of_key(stack: AppState, key: str) -> str | None:
    async with stack.database.write() as db:
        usable = (await api_keys.find_usable(db, {key})).get(key)
        return None if usable is None else await dashboard_sessions.open_session(db, usable.id)


def _form(
    request: Request, following: str, *, problem: str = "", status: int = 200
) -> HTMLResponse:
    secret = request.cookies.get(_FORM_COOKIE) or secrets.token_urlsafe(24)
    answer = rendering.page(
        request,
        "sign_in.html",
        status=status,
        problem=problem,
        token=_token(secret),
        following=_within(following),
    )
    answer.set_cookie(
        _FORM_COOKIE,
        secret,
        max_age=_FORM_SECONDS,
        path="/ui/sign-in",
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="strict",
    )
    return answer


def _token(secret: str) -> str:
    return sha256(f"sign-in:{secret}".encode()).hexdigest()


def _signed_in(request: Request, secret: str, following: str) -> HTMLResponse:
    """A page that continues by itself, because browsers send no cookie after a redirect between
    sites.
    """
    answer = rendering.page(request, "signed_in.html", following=_within(following) or "/ui")
    answer.set_cookie(
        COOKIE,
        secret,
        max_age=int(SESSION_LIFETIME.total_seconds()),
        path="/ui",
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="strict",
    )
    return answer


def _within(address: str) -> str:
    """The address if it belongs to the dashboard, else nothing, so that no link leads to another
    site.
    """
    inside = address == "/ui" or address.startswith(("/ui/", "/ui?"))
    return address if inside and "\\" not in address and address.isprintable() else ""
