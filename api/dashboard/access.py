"""The signed-in browser of a request, its project and its rights."""

import hmac
import re
import secrets
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Annotated, Final
from urllib.parse import quote
from uuid import UUID

from fastapi import Depends, Request

from api.dependencies import AppState, CurrentStack
from core.errors import Forbidden, NotFound
from core.ids import ProjectId, Scope
from core.queries import audit, projects
from core.queries.audit import Action
from core.queries.dashboard_sessions import SignedIn
from core.telemetry import log_ids

COOKIE: Final = "assay_session"
THEME_COOKIE: Final = "assay_theme"
CSRF_FIELD: Final = "csrf"
REFUSED: Final = "form_refused"
"""Key of a request's state: the form was returned with its errors, and nothing was changed."""

MAX_FORM_BYTES: Final = 1024 * 1024
_SCOPES: Final = [Scope.READ, Scope.WRITE, Scope.ADMIN]
_PLAIN_NAME: Final = re.compile(r"[\w.~-]{1,128}", re.ASCII)
_RESERVED: Final = frozenset({"static", "sign-in", "sign-out", "admin"})


@dataclass(frozen=True, slots=True)
class ViewedProject:
    id: ProjectId
    name: str

    @property
    def address(self) -> str:
        """The common prefix of all addresses in this project."""
        return f"/ui/{project_slug(self.id, self.name)}"


def project_slug(project_id: UUID, name: str) -> str:
    """The name of the project if it is safe and unambiguous in an address, else the id."""
    if not _PLAIN_NAME.fullmatch(name) or name in _RESERVED or _uuid(name) is not None:
        return str(project_id)
    return quote(name)


@dataclass(frozen=True, slots=True)
class Viewer:
    """A signed-in browser. `secret` belongs to its session and appears on no page."""

    stack: AppState
    signed_in: SignedIn
    secret: str

    def may(self, scope: Scope) -> bool:
        return _SCOPES.index(self.signed_in.scope) >= _SCOPES.index(scope)

    @property
    def can_write(self) -> bool:
        return self.may(Scope.WRITE)

    def csrf_token(self) -> str:
        """A new token per page, so that compressed sizes cannot reveal it."""
        salt = secrets.token_urlsafe(9)
        return f"{salt}.{_sign(self.secret, salt)}"

    def check_csrf(self, token: str) -> None:
        """Raises Forbidden."""
        salt, _, signature = token.partition(".")
        if not hmac.compare_digest(_sign(self.secret, salt).encode(), signature.encode()):
            raise Forbidden("This form is out of date. Go back, reload the page and try again.")


@dataclass(frozen=True, slots=True)
class ProjectViewer(Viewer):
    """A signed-in browser on the pages of one project."""

    project: ViewedProject

    def at(self, path: str = "") -> str:
        """An address in this project."""
        return f"{self.project.address}{path}"


def _sign(secret: str, salt: str) -> str:
    return hmac.new(secret.encode(), f"csrf:{salt}".encode(), sha256).hexdigest()


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


async def _viewer(request: Request, stack: CurrentStack) -> Viewer:
    """Raises Unauthenticated."""
    secret = request.cookies.get(COOKIE, "")
    signed_in = await stack.authenticator.signed_in(secret)
    stack.rate_limit.take(signed_in.key_id)
    return Viewer(stack, signed_in, secret)


async def find_project(viewer: Viewer, slug: str) -> ViewedProject:
    """Raises NotFound, also for a project that the key may not name."""
    async with viewer.stack.database.read_autocommit() as db:
        project_id = _uuid(slug)
        name = None if project_id is None else await projects.name_of(db, project_id)
        if project_id is None or name is None:
            name, project_id = slug, await projects.find(db, slug)
    bound = viewer.signed_in.bound_to
    if project_id is None or bound not in (None, project_id):
        raise NotFound("project", slug)
    return ViewedProject(ProjectId(project_id), name)


async def _project_viewer(
    project: str, viewer: Annotated[Viewer, Depends(_viewer)]
) -> ProjectViewer:
    found = await find_project(viewer, project)
    return ProjectViewer(viewer.stack, viewer.signed_in, viewer.secret, found)


async def _checked_form(request: Request, viewer: Viewer, scope: Scope) -> None:
    if not viewer.may(scope):
        raise Forbidden(
            f"You are signed in with a key of scope {viewer.signed_in.scope}; {scope} is needed."
        )
    form = await request.form(max_files=0, max_fields=2000, max_part_size=MAX_FORM_BYTES)
    viewer.check_csrf(str(form.get(CSRF_FIELD, "")))


def _poster(scope: Scope) -> Callable[..., AsyncIterator[ProjectViewer]]:
    async def poster(
        request: Request, viewer: Annotated[ProjectViewer, Depends(_project_viewer)]
    ) -> AsyncIterator[ProjectViewer]:
        await _checked_form(request, viewer, scope)
        yield viewer
        # Not reached if the route raised, because a failed request has changed nothing.
        if not getattr(request.state, REFUSED, False):
            await _record(request, viewer)

    return poster


async def _record(request: Request, viewer: ProjectViewer) -> None:
    """Writes the audit log, as for requests of the API."""
    ids = [value for name, value in request.path_params.items() if name != "project"]
    action = Action(
        action=f"dashboard:{request.scope['route'].name}",
        actor=viewer.signed_in.key_name,
        key_id=viewer.signed_in.key_id,
        project_id=viewer.project.id,
        target="/".join(str(one) for one in ids) or None,
        request_id=log_ids.request_id.get(),
    )
    async with viewer.stack.database.write() as db:
        await audit.record(db, action)


AnyViewer = Annotated[Viewer, Depends(_viewer)]
"""A signed-in browser, on pages without a project."""

PageViewer = Annotated[ProjectViewer, Depends(_project_viewer)]
"""A signed-in browser that reads a page of the project in the address."""

PageWriter = Annotated[ProjectViewer, Depends(_poster(Scope.WRITE))]
"""A signed-in browser that posts a form of a dashboard page, with a key that may write."""

PageAdmin = Annotated[ProjectViewer, Depends(_poster(Scope.ADMIN))]
"""A signed-in browser that posts a form about keys, with an admin key."""
