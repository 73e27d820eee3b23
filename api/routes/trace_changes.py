"""Changes, deletes and tags stored traces."""

from typing import Annotated, Self
from uuid import UUID

from fastapi import APIRouter, Body, Response
from pydantic import BaseModel, ConfigDict, Field, model_validator

from api import errors
from api.dependencies import CurrentStack, WriteProject
from api.http.json_body import JsonRoute
from api.schemas.traces import SpanDetail, TraceDetail
from api.whole_trace import whole_trace
from core.errors import NotFound
from core.queries import trace_edits
from core.safe_text import Tag
from core.trace_input import MAX_SPANS, SpanBody, SpanChanges, TraceChanges

router = APIRouter(prefix="/traces", tags=["Traces"], route_class=JsonRoute)

MAX_TRACES_PER_REQUEST = 500
MAX_TAGS_PER_REQUEST = 100


class SpansStored(BaseModel):
    span_ids: list[UUID] = Field(
        description="Ids of the spans in the order sent, including generated ids."
    )


class _Batch(BaseModel):
    model_config = ConfigDict(extra="forbid")

    trace_ids: list[UUID] = Field(
        min_length=1,
        max_length=MAX_TRACES_PER_REQUEST,
        description="Unknown ids are skipped.",
    )


class DeletionBody(_Batch):
    """Traces to delete, with their spans, tags and scores."""


class Deleted(BaseModel):
    deleted: int = Field(description="Number of deleted traces.")


class TagsBody(_Batch):
    """Tags to add to traces, and to remove from them."""

    add_tags: list[Tag] = Field(default_factory=list, max_length=MAX_TAGS_PER_REQUEST)
    remove_tags: list[Tag] = Field(default_factory=list, max_length=MAX_TAGS_PER_REQUEST)

    @model_validator(mode="after")
    def _clear(self) -> Self:
        if set(self.add_tags) & set(self.remove_tags):
            raise ValueError("add_tags and remove_tags must not share a tag")
        return self


class Updated(BaseModel):
    updated: int = Field(description="Number of known traces.")


@router.post(
    "/batch/delete",
    summary="Delete many traces",
    description="Deletes their spans, tags and scores too, in one transaction.",
    responses=errors.responses(413, 415),
)
async def delete_traces(body: DeletionBody, project: WriteProject, stack: CurrentStack) -> Deleted:
    async with stack.database.write() as db:
        return Deleted(deleted=await trace_edits.remove(db, project, body.trace_ids))


@router.post("/batch/tags", summary="Tag many traces", responses=errors.responses(413, 415))
async def tag_traces(body: TagsBody, project: WriteProject, stack: CurrentStack) -> Updated:
    async with stack.database.write() as db:
        count = await trace_edits.retag(
            db, project, body.trace_ids, add=body.add_tags, remove=body.remove_tags
        )
    return Updated(updated=count)


@router.patch(
    "/{trace_id}",
    summary="Change a trace",
    description=(
        "Sent fields change: null empties a field that may be empty, and `metadata` is merged. "
        "Unknown fields are ignored. The next run judges a changed trace again."
    ),
    responses=errors.responses(404, 413, 415),
    response_model=TraceDetail,
)
async def change_trace(
    trace_id: UUID, body: TraceChanges, project: WriteProject, stack: CurrentStack
) -> TraceDetail | Response:
    async with stack.database.write() as db:
        await trace_edits.change_trace(db, project, trace_id, body)
    # Read after the write transaction, so that other writers do not wait for a large trace.
    return await whole_trace(stack, project, trace_id)


@router.delete(
    "/{trace_id}",
    status_code=204,
    summary="Delete a trace",
    description="Deletes its spans, tags and scores too.",
    responses=errors.responses(404),
)
async def delete_trace(trace_id: UUID, project: WriteProject, stack: CurrentStack) -> None:
    async with stack.database.write() as db:
        if not await trace_edits.remove(db, project, [trace_id]):
            raise NotFound("trace", trace_id)


@router.post(
    "/{trace_id}/spans",
    status_code=201,
    summary="Add spans to a trace",
    description="A known span is merged: values that are not null replace stored values.",
    responses=errors.responses(404, 413, 415),
)
async def add_spans(
    trace_id: UUID,
    body: Annotated[list[SpanBody], Body(min_length=1, max_length=MAX_SPANS)],
    project: WriteProject,
    stack: CurrentStack,
) -> SpansStored:
    await stack.quotas.check_storage(project)
    async with stack.database.write() as db:
        await trace_edits.add_spans(db, project, trace_id, body)
    return SpansStored(span_ids=[span.span_id for span in body])


@router.patch(
    "/{trace_id}/spans/{span_id}",
    summary="Change a span",
    description="Sent fields change: null empties a field that may be empty, and `metadata` is "
    "merged. Unknown fields are ignored.",
    responses=errors.responses(404, 413, 415),
)
async def change_span(
    trace_id: UUID, span_id: UUID, body: SpanChanges, project: WriteProject, stack: CurrentStack
) -> SpanDetail:
    async with stack.database.write() as db:
        changed = await trace_edits.change_span(db, project, trace_id, span_id, body)
    return SpanDetail.of(changed)
