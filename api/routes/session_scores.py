"""Scores of sessions."""

from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Path, Query
from pydantic import Field

from api import errors
from api.dependencies import CurrentStack, ReadProject, WriteProject
from api.http import path_text as path_text  # registers `text`
from api.http.json_body import JsonRoute
from api.routes.sessions import SessionId
from api.schemas.pages import MAX_OFFSET, PageOf, PageQuery
from api.schemas.scores import SessionScoreBody
from api.schemas.sessions import ComparedSession, ScoreMoment
from core.filters import SessionScoreFilters
from core.ids import TargetType
from core.queries import score_annotations, score_reads, score_sessions
from core.safe_text import Label

router = APIRouter(prefix="/evaluations", tags=["Scores"], route_class=JsonRoute)

_SCORES = "/session-scores"
_ANALYTICS = "/analytics/session-scores"


class SessionScoreQuery(SessionScoreFilters, PageQuery):
    pass


class ComparisonQuery(PageQuery):
    metric_name: Label = Field(description="Metric whose scores are compared.")
    sort_order: Literal["asc", "desc"] = Field("asc", description="`asc`: lowest scores first.")
    limit: int = Field(20, ge=1, le=100, description="Maximum number of items.")
    offset: int = Field(0, ge=0, le=MAX_OFFSET, description="Number of items to skip.")


@router.get(_SCORES, summary="List session scores, newest first", responses=errors.responses())
async def list_session_scores(
    query: Annotated[SessionScoreQuery, Query()], project: ReadProject, stack: CurrentStack
) -> PageOf[SessionScoreBody]:
    async with stack.database.read() as db:
        found, total = await score_reads.page(db, project, query, query.page)
    return PageOf.of(query, [SessionScoreBody.of(row) for row in found], total)


@router.get(
    f"{_SCORES}/{{id:text}}",
    summary="List the scores of a session",
    description="All scores of the session, newest first; empty for an unknown session.",
    responses=errors.responses(404),
)
async def get_session_scores(
    session_id: Annotated[SessionId, Path(alias="id")], project: ReadProject, stack: CurrentStack
) -> list[SessionScoreBody]:
    async with stack.database.read() as db:
        found = await score_reads.of_target(db, project, TargetType.SESSION, session_id)
    return [SessionScoreBody.of(row) for row in found]


@router.delete(
    f"{_SCORES}/{{id}}",
    status_code=204,
    summary="Delete a session score",
    responses=errors.responses(404),
)
async def delete_session_score(
    score_id: Annotated[UUID, Path(alias="id")], project: WriteProject, stack: CurrentStack
) -> None:
    async with stack.database.write() as db:
        await score_annotations.remove(db, project, TargetType.SESSION, score_id)


@router.get(
    f"{_ANALYTICS}/comparison",
    summary="Compare sessions by their newest score",
    description="Worst first. Sessions with a null score come last in both orders.",
    responses=errors.responses(),
)
async def compare_sessions(
    query: Annotated[ComparisonQuery, Query()], project: ReadProject, stack: CurrentStack
) -> PageOf[ComparedSession]:
    async with stack.database.read() as db:
        rows, total = await score_sessions.comparison(
            db, project, query.metric_name, query.page, descending=query.sort_order == "desc"
        )
    items = [
        ComparedSession(
            session_id=row.target_id,
            score=row.number,
            evaluated_at=row.created_at,
            eval_run_id=row.eval_run_id,
        )
        for row in rows
    ]
    return PageOf.of(query, items, total)


@router.get(
    f"{_ANALYTICS}/history/{{session_id:text}}",
    summary="Get the score history of a session",
    description="The newest `limit` scores, oldest first; empty for an unknown session.",
    responses=errors.responses(404),
)
async def get_session_score_history(
    session_id: SessionId,
    project: ReadProject,
    stack: CurrentStack,
    metric_name: Annotated[Label | None, Query(description="Only by this metric.")] = None,
    limit: Annotated[int, Query(ge=1, le=200, description="Maximum number of items.")] = 50,
) -> list[ScoreMoment]:
    async with stack.database.read() as db:
        rows = await score_sessions.history(
            db, project, session_id, metric=metric_name, limit=limit
        )
    return [
        ScoreMoment(
            metric_name=row.name,
            score=row.number,
            eval_run_id=row.eval_run_id,
            created_at=row.created_at,
            status=row.status,
        )
        for row in rows
    ]
