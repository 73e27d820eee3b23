"""Scores of traces."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Query

from api import errors
from api.dependencies import CurrentStack, ReadProject, WriteProject
from api.http.json_body import JsonRoute
from api.schemas.pages import PageOf, PageQuery
from api.schemas.score_requests import NewTraceScoreBody, ScoreChangesBody
from api.schemas.scores import TraceScoreBody
from core.filters import TraceScoreFilters
from core.ids import TargetType
from core.queries import score_annotations, score_reads

# All methods of a path share one template, although they use the id differently.
TraceIdInPath = Annotated[UUID, Path(alias="id", description="Of a trace.")]
ScoreIdInPath = Annotated[UUID, Path(alias="id", description="Of a score.")]

router = APIRouter(prefix="/evaluations/trace-scores", tags=["Scores"], route_class=JsonRoute)


class TraceScoreQuery(TraceScoreFilters, PageQuery):
    pass


@router.post(
    "",
    status_code=201,
    summary="Add a score to a trace",
    responses=errors.responses(404, 413, 415),
)
async def add_trace_score(
    body: NewTraceScoreBody, project: WriteProject, stack: CurrentStack
) -> TraceScoreBody:
    async with stack.database.write() as db:
        return TraceScoreBody.of(
            await score_annotations.add_to_trace(db, project, body.trace_id, body.annotation)
        )


@router.get("", summary="List scores, newest first", responses=errors.responses())
async def list_trace_scores(
    query: Annotated[TraceScoreQuery, Query()], project: ReadProject, stack: CurrentStack
) -> PageOf[TraceScoreBody]:
    async with stack.database.read() as db:
        found, total = await score_reads.page(db, project, query, query.page)
    return PageOf.of(query, [TraceScoreBody.of(row) for row in found], total)


@router.get(
    "/{id}",
    summary="List the scores of a trace",
    description="The newest score of each metric; empty for an unknown trace.",
    responses=errors.responses(404),
)
async def get_trace_scores(
    trace_id: TraceIdInPath, project: ReadProject, stack: CurrentStack
) -> list[TraceScoreBody]:
    async with stack.database.read() as db:
        found = await score_reads.latest(db, project, TargetType.TRACE, str(trace_id))
    return [TraceScoreBody.of(row) for row in found]


@router.patch(
    "/{id}",
    summary="Change a score",
    description="Only sent fields change. The score becomes a SUCCESS and an ANNOTATION.",
    responses=errors.responses(404, 413, 415),
)
async def change_trace_score(
    score_id: ScoreIdInPath, body: ScoreChangesBody, project: WriteProject, stack: CurrentStack
) -> TraceScoreBody:
    async with stack.database.write() as db:
        return TraceScoreBody.of(
            await score_annotations.change(db, project, TargetType.TRACE, score_id, body.sent)
        )


@router.delete("/{id}", status_code=204, summary="Delete a score", responses=errors.responses(404))
async def delete_trace_score(
    score_id: ScoreIdInPath, project: WriteProject, stack: CurrentStack
) -> None:
    async with stack.database.write() as db:
        await score_annotations.remove(db, project, TargetType.TRACE, score_id)
