"""API keys over HTTP. Only the response to the creation of a key contains its text."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query

from api import errors
from api.dependencies import AdminAccess, CurrentStack
from api.http.json_body import JsonRoute
from api.schemas.administration import ApiKeyBody, ApiKeyView, NewApiKeyView, RotationBody
from api.schemas.pages import PageOf, PageQuery
from core.db.database import Reader
from core.errors import Forbidden, Invalid
from core.ids import ProjectId
from core.queries import api_keys, projects
from core.queries.api_keys import NewKey

router = APIRouter(prefix="/api-keys", tags=["Administration"], route_class=JsonRoute)


@router.get(
    "",
    summary="List API keys, newest first",
    description="Includes revoked and expired keys. A bound key sees the keys of its project.",
    responses=errors.responses(),
)
async def list_api_keys(
    query: Annotated[PageQuery, Query()], access: AdminAccess, stack: CurrentStack
) -> PageOf[ApiKeyView]:
    async with stack.database.read() as db:
        rows, total = await api_keys.page(db, query.page, of_project=access.bound_to)
    return PageOf.of(query, [ApiKeyView.of(row) for row in rows], total)


@router.post(
    "",
    status_code=201,
    summary="Create an API key",
    description=(
        "Only this response has the key. A key without a home project may name any project."
    ),
    responses=errors.responses(413, 415),
)
async def create_api_key(
    body: ApiKeyBody, access: AdminAccess, stack: CurrentStack
) -> NewApiKeyView:
    any_project = body.any_project or body.project_id is None
    if access.bound_to is not None and (any_project or body.project_id != access.bound_to):
        raise Forbidden(
            "This API key is bound to one project and can create keys only for that project."
        )
    async with stack.database.write() as db:
        home = await _home(db, body.project_id)
        new = NewKey(body.name, body.scope, home, body.expires_at, any_project)
        row, text = await api_keys.create(db, new)
    return NewApiKeyView.of(row, key=text)


@router.delete(
    "/{key_id}",
    status_code=204,
    summary="Revoke an API key",
    description="The key stops working at once. A repetition has no effect.",
    responses=errors.responses(404),
)
async def revoke_api_key(key_id: UUID, access: AdminAccess, stack: CurrentStack) -> None:
    async with stack.database.write() as db:
        await api_keys.lock(db, key_id, of_project=access.bound_to)
        await api_keys.revoke(db, key_id)


@router.post(
    "/{key_id}/rotate",
    status_code=201,
    summary="Rotate an API key",
    description=(
        "Creates a key with the same rights. The old key continues to work for `overlap_seconds`."
    ),
    responses=errors.responses(404, 409, 413, 415),
)
async def rotate_api_key(
    key_id: UUID, body: RotationBody, access: AdminAccess, stack: CurrentStack
) -> NewApiKeyView:
    async with stack.database.write() as db:
        old = await api_keys.lock(db, key_id, of_project=access.bound_to)
        row, text = await api_keys.rotate(db, old, overlap_seconds=body.overlap_seconds)
    return NewApiKeyView.of(row, key=text)


async def _home(db: Reader, project_id: UUID | None) -> ProjectId | None:
    if project_id is None:
        return None
    if await projects.name_of(db, project_id) is None:
        raise Invalid(f"There is no project {project_id}.")
    return ProjectId(project_id)
