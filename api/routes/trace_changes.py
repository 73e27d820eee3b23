"""Changes of traces that are there."""

from typing import Annotated, Self
from uuid import UUID

from fastapi import APIRouter, Body
from pydantic import BaseModel, ConfigDict, Field, model_validator

from api import errors
from api.dependencies import CurrentStack, WriteProject
from api.models.traces import SpanDetail, TraceDetail
from api.requests import JsonRoute
from core.errors import NotFound
from core.ingestion import MAX_SPANS, SpanBody, SpanChanges, TraceChanges
from core.queries import trace_changes, traces
from core.text import Tag

router = APIRouter(prefix="/traces", tags=["Traces"], route_class=JsonRoute)

MOST_TRACES = 500
MOST_TAGS = 100


class SpansStored(BaseModel):
    span_ids: list[UUID] = Field(description="As they came, made ones included.")


class _Batch(BaseModel):
    model_config = ConfigDict(extra="forbid")

    trace_ids: list[UUID] = Field(
        min_length=1,
        max_length=MOST_TRACES,
        description="Those the project does not have are passed over.",
    )


class DeletionBody(_Batch):
    """Traces to delete with their spans, tags and scores."""


class Deleted(BaseModel):
    deleted: int = Field(description="How many there were to delete.")


class TagsBody(_Batch):
    """Tags to add to traces, and to take from them."""

    add_tags: list[Tag] = Field(default_factory=list, max_length=MOST_TAGS)
    remove_tags: list[Tag] = Field(default_factory=list, max_length=MOST_TAGS)

    @model_validator(mode="after")
    def _clear(self) -> Self:
        if set(self.add_tags) & set(self.remove_tags):
            raise ValueError("add_tags and remove_tags must not share a tag")
        return self


class Updated(BaseModel):
    updated: int = Field(description="How many of the traces the project has.")


@router.post(
    "/batch/delete",
    summary="Delete many traces",
    description="With their spans, tags and scores, all of them or none.",
    responses=errors.responses(413, 415),
)
async def delete_traces(body: DeletionBody, project: WriteProject, stack: CurrentStack) -> Deleted:
    async with stack.database.write() as db:
        return Deleted(deleted=await trace_changes.remove(db, project, body.trace_ids))


@router.post("/batch/tags", summary="Tag many traces", responses=errors.responses(413, 415))
async def tag_traces(body: TagsBody, project: WriteProject, stack: CurrentStack) -> Updated:
    async with stack.database.write() as db:
        count = await trace_changes.retag(
            db, project, body.trace_ids, add=body.add_tags, remove=body.remove_tags
        )
    return Updated(updated=count)


@router.patch(
    "/{trace_id}",
    summary="Change a trace",
    description="What is sent replaces what is held, null empties; all else stays. Unknown fields "
    "are ignored. A changed trace is judged anew by the next run.",
    responses=errors.responses(404, 413, 415),
)
async def change_trace(
    trace_id: UUID, body: TraceChanges, project: WriteProject, stack: CurrentStack
) -> TraceDetail:
    async with stack.database.write() as db:
        await trace_changes.change_trace(db, project, trace_id, body)
        return TraceDetail.of(await traces.get(db, project, trace_id))


@router.delete(
    "/{trace_id}",
    status_code=204,
    summary="Delete a trace",
    description="With its spans, tags and scores.",
    responses=errors.responses(404),
)
async def delete_trace(trace_id: UUID, project: WriteProject, stack: CurrentStack) -> None:
    async with stack.database.write() as db:
        if not await trace_changes.remove(db, project, [trace_id]):
            raise NotFound("trace", trace_id)


@router.post(
    "/{trace_id}/spans",
    status_code=201,
    summary="Add spans to a trace",
    description="A span the trace has already is merged: what comes non-null replaces.",
    responses=errors.responses(404, 413, 415),
)
async def add_spans(
    trace_id: UUID,
    body: Annotated[list[SpanBody], Body(min_length=1, max_length=MAX_SPANS)],
    project: WriteProject,
    stack: CurrentStack,
) -> SpansStored:
    async with stack.database.write() as db:
        await trace_changes.add_spans(db, project, trace_id, body)
    return SpansStored(span_ids=[span.span_id for span in body])


@router.patch(
    "/{trace_id}/spans/{span_id}",
    summary="Change a span",
    description="What is sent replaces what is held, null empties; all else stays. Unknown fields "
    "are ignored.",
    responses=errors.responses(404, 413, 415),
)
async def change_span(
    trace_id: UUID, span_id: UUID, body: SpanChanges, project: WriteProject, stack: CurrentStack
) -> SpanDetail:
    async with stack.database.write() as db:
        await trace_changes.change_span(db, project, trace_id, span_id, body)
        stored = await traces.get(db, project, trace_id)
    return next(SpanDetail.of(span) for span in stored.spans if span.id == span_id)
