"""Ingestion and reads of traces."""

from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, Field

from api import errors
from api.dependencies import CurrentStack, ReadProject, WriteProject
from api.http.json_body import JsonRoute
from api.schemas.pages import PageOf, PageQuery
from api.schemas.traces import TraceDetail, TraceSummary
from api.whole_trace import whole_trace
from core.filters import TraceListFilters
from core.queries import trace_reads
from core.queries.trace_reads import Listing, TraceSortKey
from core.trace_input import TraceBody

router = APIRouter(prefix="/traces", tags=["Traces"], route_class=JsonRoute)


class TraceAccepted(BaseModel):
    trace_id: UUID
    task_id: str = Field(description="Names this delivery.")


class TraceListQuery(TraceListFilters, PageQuery):
    sort_by: TraceSortKey = Field(TraceSortKey.STARTED_AT, description="Ties are broken by id.")
    sort_order: Literal["asc", "desc"] = "desc"


@router.post(
    "",
    status_code=202,
    summary="Store a trace",
    description=(
        "The trace is stored when the response arrives. A known `trace_id` is merged: values that "
        "are not null replace stored values, metadata merges by key, tags unite, spans merge by "
        "`span_id`. Unknown fields are ignored."
    ),
    responses=errors.responses(413, 415),
)
async def store_trace(body: TraceBody, project: WriteProject, stack: CurrentStack) -> TraceAccepted:
    await stack.ingest.store(project, body)
    stack.measures.count_traces([body])
    return TraceAccepted(trace_id=body.trace_id, task_id=str(body.trace_id))


@router.get("", summary="List traces", description="Without content.", responses=errors.responses())
async def list_traces(
    query: Annotated[TraceListQuery, Query()], project: ReadProject, stack: CurrentStack
) -> PageOf[TraceSummary]:
    listing = Listing(query.limit, query.offset, query.sort_by, query.sort_order == "desc")
    async with stack.database.read() as db:
        found, total = await trace_reads.page(db, project, query, listing)
    return PageOf.of(query, [TraceSummary.of(stored) for stored in found], total)


@router.get(
    "/{trace_id}",
    summary="Get a trace",
    description="Includes content and spans.",
    responses=errors.responses(404),
    response_model=TraceDetail,
)
async def get_trace(
    trace_id: UUID, project: ReadProject, stack: CurrentStack
) -> TraceDetail | Response:
    return await whole_trace(stack, project, trace_id)
