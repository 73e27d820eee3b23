"""Traces: what agents send, and what is held of them."""

from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from api import errors
from api.dependencies import CurrentStack, ReadProject, WriteProject
from api.models.pages import PageOf, PageQuery
from api.models.traces import TraceDetail, TraceSummary
from api.requests import JsonRoute
from core.filters import TraceListFilters
from core.ingestion import TraceBody
from core.queries import traces
from core.queries.traces import Listing, SortKey

router = APIRouter(prefix="/traces", tags=["Traces"], route_class=JsonRoute)


class TraceAccepted(BaseModel):
    trace_id: UUID
    task_id: str = Field(description="Names this delivery.")


class TraceListQuery(TraceListFilters, PageQuery):
    sort_by: SortKey = Field(SortKey.STARTED_AT, description="Ties are broken by id.")
    sort_order: Literal["asc", "desc"] = "desc"


@router.post(
    "",
    status_code=202,
    summary="Store a trace",
    description="Stored when this answers. The same `trace_id` again is merged: what comes "
    "non-null replaces, metadata merges key by key, tags unite, spans merge by `span_id`. "
    "Unknown fields are ignored.",
    responses=errors.responses(413, 415),
)
async def store_trace(body: TraceBody, project: WriteProject, stack: CurrentStack) -> TraceAccepted:
    await stack.ingest.submit((project, body))
    stack.counters.traces_stored += 1
    return TraceAccepted(trace_id=body.trace_id, task_id=str(body.trace_id))


@router.get("", summary="List traces", description="Without content.", responses=errors.responses())
async def list_traces(
    query: Annotated[TraceListQuery, Query()], project: ReadProject, stack: CurrentStack
) -> PageOf[TraceSummary]:
    listing = Listing(query.limit, query.offset, query.sort_by, query.sort_order == "desc")
    async with stack.database.read() as db:
        found, total = await traces.page(db, project, query, listing)
    return PageOf(
        items=[TraceSummary.of(stored) for stored in found],
        total=total,
        limit=query.limit,
        offset=query.offset,
    )


@router.get(
    "/{trace_id}",
    summary="Read a trace",
    description="With its content and spans.",
    responses=errors.responses(404),
)
async def get_trace(trace_id: UUID, project: ReadProject, stack: CurrentStack) -> TraceDetail:
    async with stack.database.read() as db:
        return TraceDetail.of(await traces.get(db, project, trace_id))
