"""Projects, the owners of all other resources."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query

from api import errors
from api.dependencies import AdminAccess, AppState, CurrentStack
from api.http.auth import Access
from api.http.json_body import JsonRoute
from api.schemas.administration import ProjectBody, ProjectPatch, ProjectView
from api.schemas.pages import PageOf, PageQuery
from core.errors import Forbidden, NotFound
from core.ids import ProjectId
from core.queries import projects
from core.run_ending import ending

router = APIRouter(prefix="/projects", tags=["Administration"], route_class=JsonRoute)


@router.get("", summary="List projects", responses=errors.responses())
async def list_projects(
    query: Annotated[PageQuery, Query()], access: AdminAccess, stack: CurrentStack
) -> PageOf[ProjectView]:
    async with stack.database.read() as db:
        rows, total = await projects.page(db, query.page, only=access.bound_to)
    return PageOf.of(query, [ProjectView.of(row) for row in rows], total)


@router.post(
    "",
    status_code=201,
    summary="Create a project",
    responses=errors.responses(409, 413, 415),
)
async def create_project(
    body: ProjectBody, access: AdminAccess, stack: CurrentStack
) -> ProjectView:
    if access.bound_to is not None:
        raise Forbidden("This API key is bound to one project and cannot create others.")
    async with stack.database.write() as db:
        return ProjectView.of(await projects.create(db, body.name, body.description))


@router.get("/{project_id}", summary="Get a project", responses=errors.responses(404))
async def get_project(project_id: UUID, access: AdminAccess, stack: CurrentStack) -> ProjectView:
    return await _shown(stack, access, project_id)


@router.patch(
    "/{project_id}",
    summary="Change a project",
    description="Clients that send the old name afterwards create a new project.",
    responses=errors.responses(404, 409, 413, 415),
)
async def update_project(
    project_id: UUID, body: ProjectPatch, access: AdminAccess, stack: CurrentStack
) -> ProjectView:
    _check_may_see(access, project_id)
    async with stack.database.write() as db:
        row = await projects.change(db, project_id, body.sent)
    stack.authenticator.forget_projects()
    return ProjectView.of(row)


@router.delete(
    "/{project_id}",
    status_code=202,
    summary="Delete a project",
    description=(
        "Deletes everything in the project, in the background: traces, runs, scores, monitors. At "
        "once, requests no longer find the project, its runs stop, its name becomes free, and its "
        "bound keys stop working. `deleted_rows` shows the progress; 404 means that the deletion "
        "is complete."
    ),
    responses=errors.responses(404),
)
async def delete_project(project_id: UUID, access: AdminAccess, stack: CurrentStack) -> ProjectView:
    await _shown(stack, access, project_id)
    # The workflow starts first, so that every marked project has a workflow that deletes it.
    await stack.project_deletions.start(project_id)
    async with ending(stack.database, ProjectId(project_id)) as db:
        row = await projects.mark_deleted(db, project_id)
    stack.authenticator.forget_projects()
    return ProjectView.of(row)


async def _shown(stack: AppState, access: Access, project_id: UUID) -> ProjectView:
    _check_may_see(access, project_id)
    async with stack.database.read() as db:
        return ProjectView.of(await projects.get(db, project_id))


def _check_may_see(access: Access, project_id: UUID) -> None:
    if access.bound_to not in (None, project_id):
        raise NotFound("project", project_id)
