"""Comparisons of two runs."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from fastapi.responses import Response

from api import errors
from api.dependencies import CurrentStack, ReadProject, WriteProject
from api.http.json_body import JsonRoute
from api.runs import comparing
from api.runs.comparison_report import markdown
from api.schemas.comparisons import ComparisonBody, ComparisonRequest
from api.schemas.pages import PageOf, PageQuery
from core import json_codec
from core.queries import comparison_rows

router = APIRouter(prefix="/evaluations/comparisons", tags=["Comparisons"], route_class=JsonRoute)


@router.post(
    "",
    status_code=201,
    summary="Compare two runs",
    description=(
        "Pairs the scores of both runs and decides per metric whether the candidate is better, "
        "worse or equivalent, or whether the scores cannot tell. The response has the result for "
        "up to 100,000 pairs. For more pairs the response is PENDING, and a worker compares the "
        "runs."
    ),
    responses=errors.responses(404, 413, 415),
)
async def create_comparison(
    body: ComparisonRequest, project: WriteProject, stack: CurrentStack
) -> ComparisonBody:
    return await comparing.create(stack, project, body)


@router.get("", summary="List comparisons, newest first", responses=errors.responses())
async def list_comparisons(
    query: Annotated[PageQuery, Query()], project: ReadProject, stack: CurrentStack
) -> PageOf[ComparisonBody]:
    async with stack.database.read() as db:
        rows, total = await comparison_rows.page(db, project, query.page)
        return PageOf.of(query, await comparing.bodies(db, project, rows), total)


@router.get(
    "/{comparison_id}.md",
    include_in_schema=False,  # in the OpenAPI document, the path would match as an id
    summary="Get a comparison as Markdown",
    response_class=Response,
    responses=errors.responses(404) | {200: {"content": {"text/markdown": {}}}},
)
async def get_comparison_markdown(
    comparison_id: UUID, project: ReadProject, stack: CurrentStack
) -> Response:
    found = await comparing.get(stack, project, comparison_id)
    return Response(markdown(found), media_type="text/markdown; charset=utf-8")


@router.get(
    "/{comparison_id}.json",
    include_in_schema=False,
    summary="Download a comparison as JSON",
    response_class=Response,
    responses=errors.responses(404) | {200: {"content": {"application/json": {}}}},
)
async def get_comparison_json(
    comparison_id: UUID, project: ReadProject, stack: CurrentStack
) -> Response:
    found = await comparing.get(stack, project, comparison_id)
    text = json_codec.dumps(found.model_dump(mode="json"))
    name = f'attachment; filename="comparison-{comparison_id}.json"'
    return Response(text, media_type="application/json", headers={"Content-Disposition": name})


@router.get("/{comparison_id}", summary="Get a comparison", responses=errors.responses(404))
async def get_comparison(
    comparison_id: UUID, project: ReadProject, stack: CurrentStack
) -> ComparisonBody:
    return await comparing.get(stack, project, comparison_id)


@router.delete(
    "/{comparison_id}",
    status_code=204,
    summary="Delete a comparison",
    responses=errors.responses(404),
)
async def delete_comparison(
    comparison_id: UUID, project: WriteProject, stack: CurrentStack
) -> None:
    async with stack.database.write() as db:
        await comparison_rows.remove(db, project, comparison_id)
