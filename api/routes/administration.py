"""Usage and the audit log, for administrators."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import Field

from api import errors
from api.dependencies import AdminAccess, AdminProject, CurrentStack
from api.http.json_body import JsonRoute
from api.schemas.administration import AuditView, UsageQuery
from api.schemas.pages import PageOf, PageQuery
from core.errors import Forbidden
from core.ids import ProjectId
from core.queries import audit, usage
from core.queries.usage import UsageGroup

router = APIRouter(tags=["Administration"], route_class=JsonRoute)


class AuditQuery(PageQuery):
    project_id: UUID | None = Field(None, description="Changes in this project.")


@router.get(
    "/usage",
    summary="Get judge usage",
    description=(
        "For the request's project: judge calls, tokens and cost; the calls and the cost of "
        "repairs and repeated calls; judged pairs; pairs answered from the cache; and an estimate "
        "of the cost that the cache saved. Days are in UTC."
    ),
    responses=errors.responses(),
)
async def get_usage(
    query: Annotated[UsageQuery, Query()], project: AdminProject, stack: CurrentStack
) -> list[UsageGroup]:
    async with stack.database.read() as db:
        return await usage.grouped(
            db, project, query.group_by, start=query.date_from, end=query.date_to
        )


@router.get(
    "/audit",
    summary="List changes, newest first",
    description=(
        "Each entry names who created, changed, cancelled or deleted which row. A bound key sees "
        "the changes in its project."
    ),
    responses=errors.responses(),
)
async def list_audit_entries(
    query: Annotated[AuditQuery, Query()], access: AdminAccess, stack: CurrentStack
) -> PageOf[AuditView]:
    wanted = None if query.project_id is None else ProjectId(query.project_id)
    if access.bound_to is not None and wanted not in (None, access.bound_to):
        raise Forbidden("This API key is bound to another project.")
    async with stack.database.read() as db:
        rows, total = await audit.page(db, query.page, project_id=access.bound_to or wanted)
    return PageOf.of(query, [AuditView.of(row) for row in rows], total)
