"""Scores of sessions."""

from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import Field

from api import errors
from api.dependencies import CurrentStack, ReadProject, WriteProject
from api.models.pages import LAST_OFFSET, PageOf, PageQuery
from api.models.scores import SessionScoreBody
from api.models.sessions import ComparedSession, ScoreMoment
from api.requests import JsonRoute
from api.routes.sessions import SessionId
from core.errors import NotFound
from core.filters import SessionScoreFilters
from core.ids import TargetType
from core.queries import scores, session_scores, sessions
from core.text import PlainText

router = APIRouter(prefix="/evaluations", tags=["Scores"], route_class=JsonRoute)

_SCORES = "/session-scores"
_ANALYTICS = "/analytics/session-scores"


class SessionScoreQuery(SessionScoreFilters, PageQuery):
    pass


class ComparisonQuery(PageQuery):
    metric_name: PlainText = Field(description="Whose scores to compare.")
    sort_order: Literal["asc", "desc"] = Field("asc", description="`asc`: the worst first.")
    limit: int = Field(20, ge=1, le=100, description="How many to answer at most.")
    offset: int = Field(0, ge=0, le=LAST_OFFSET, description="How many to leave out first.")


@router.get(_SCORES, summary="List session scores, newest first", responses=errors.responses())
async def list_session_scores(
    query: Annotated[SessionScoreQuery, Query()], project: ReadProject, stack: CurrentStack
) -> PageOf[SessionScoreBody]:
    async with stack.database.read() as db:
        found, total = await scores.page(db, project, query, query.page)
    return PageOf(
        items=[SessionScoreBody.of(row) for row in found],
        total=total,
        limit=query.limit,
        offset=query.offset,
    )


@router.get(
    f"{_SCORES}/{{id:path}}",
    summary="The newest score of a session by each metric",
    responses=errors.responses(404),
)
async def get_session_scores(
    id: SessionId, project: ReadProject, stack: CurrentStack
) -> list[SessionScoreBody]:
    async with stack.database.read() as db:
        found = await scores.latest(db, project, TargetType.SESSION, id)
        if not found and await sessions.unknown_ids(db, project, [id]):
            raise NotFound("session", id)
    return [SessionScoreBody.of(row) for row in found]


@router.delete(
    f"{_SCORES}/{{id}}",
    status_code=204,
    summary="Delete a session score",
    responses=errors.responses(404),
)
async def delete_session_score(id: UUID, project: WriteProject, stack: CurrentStack) -> None:
    async with stack.database.write() as db:
        await session_scores.remove(db, project, id)


@router.get(
    f"{_ANALYTICS}/comparison",
    summary="Sessions by their newest score",
    description="The worst first. A session whose score is null comes last either way.",
    responses=errors.responses(),
)
async def compare_sessions(
    query: Annotated[ComparisonQuery, Query()], project: ReadProject, stack: CurrentStack
) -> PageOf[ComparedSession]:
    async with stack.database.read() as db:
        rows, total = await session_scores.comparison(
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
    return PageOf(items=items, total=total, limit=query.limit, offset=query.offset)


@router.get(
    f"{_ANALYTICS}/history/{{session_id:path}}",
    summary="How the scores of a session went",
    description="The newest `limit` scores, oldest first.",
    responses=errors.responses(404),
)
async def get_session_score_history(
    session_id: SessionId,
    project: ReadProject,
    stack: CurrentStack,
    metric_name: Annotated[PlainText | None, Query(description="Only by this metric.")] = None,
    limit: Annotated[int, Query(ge=1, le=200, description="How many to answer at most.")] = 50,
) -> list[ScoreMoment]:
    async with stack.database.read() as db:
        rows = await session_scores.history(
            db, project, session_id, metric=metric_name, limit=limit
        )
        if not rows and await sessions.unknown_ids(db, project, [session_id]):
            raise NotFound("session", session_id)
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
