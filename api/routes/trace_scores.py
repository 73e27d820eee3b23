"""Scores of traces."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Query

from api import errors
from api.dependencies import CurrentStack, ReadProject, WriteProject
from api.models.pages import PageOf, PageQuery
from api.models.score_requests import NewTraceScoreBody, ScoreChangesBody
from api.models.scores import TraceScoreBody
from api.requests import JsonRoute
from core.errors import NotFound
from core.filters import TraceScoreFilters
from core.ids import TargetType
from core.queries import annotations, scores, traces

# One path has one template, whatever each method takes its id for.
TraceIdInPath = Annotated[UUID, Path(alias="id", description="Of a trace.")]
ScoreIdInPath = Annotated[UUID, Path(alias="id", description="Of a score.")]

router = APIRouter(prefix="/evaluations/trace-scores", tags=["Scores"], route_class=JsonRoute)


class TraceScoreQuery(TraceScoreFilters, PageQuery):
    pass


@router.post(
    "",
    status_code=201,
    summary="Score a trace",
    responses=errors.responses(404, 413, 415),
)
async def add_trace_score(
    body: NewTraceScoreBody, project: WriteProject, stack: CurrentStack
) -> TraceScoreBody:
    async with stack.database.write() as db:
        return TraceScoreBody.of(
            await annotations.add_to_trace(db, project, body.trace_id, body.annotation)
        )


@router.get("", summary="List scores, newest first", responses=errors.responses())
async def list_trace_scores(
    query: Annotated[TraceScoreQuery, Query()], project: ReadProject, stack: CurrentStack
) -> PageOf[TraceScoreBody]:
    async with stack.database.read() as db:
        found, total = await scores.page(db, project, query, query.page)
    return PageOf(
        items=[TraceScoreBody.of(row) for row in found],
        total=total,
        limit=query.limit,
        offset=query.offset,
    )


@router.get(
    "/{id}",
    summary="The newest score of a trace by each metric",
    responses=errors.responses(404),
)
async def get_trace_scores(
    trace_id: TraceIdInPath, project: ReadProject, stack: CurrentStack
) -> list[TraceScoreBody]:
    async with stack.database.read() as db:
        if await traces.unknown_ids(db, project, [trace_id]):
            raise NotFound("trace", trace_id)
        found = await scores.latest(db, project, TargetType.TRACE, str(trace_id))
    return [TraceScoreBody.of(row) for row in found]


@router.patch(
    "/{id}",
    summary="Correct a score",
    description="Only what is sent changes. The score becomes a SUCCESS and an ANNOTATION.",
    responses=errors.responses(404, 413, 415),
)
async def change_trace_score(
    score_id: ScoreIdInPath, body: ScoreChangesBody, project: WriteProject, stack: CurrentStack
) -> TraceScoreBody:
    async with stack.database.write() as db:
        return TraceScoreBody.of(
            await annotations.change(db, project, TargetType.TRACE, score_id, body.sent)
        )


@router.delete("/{id}", status_code=204, summary="Delete a score", responses=errors.responses(404))
async def delete_trace_score(
    score_id: ScoreIdInPath, project: WriteProject, stack: CurrentStack
) -> None:
    async with stack.database.write() as db:
        await annotations.remove(db, project, TargetType.TRACE, score_id)
