"""Sessions: the traces that share a session id."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Annotated, Literal, Self

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, ConfigDict, Field, model_validator

from api import errors
from api.dependencies import CurrentStack, ReadProject, WriteProject
from api.models.pages import PageOf, PageQuery
from api.models.sessions import SessionBucket, SessionDetail, SessionsDeleted, SessionSummary
from api.requests import JsonRoute
from core.filters import Moment
from core.queries import sessions
from core.queries.session_order import SortKey
from core.session_filters import SessionListFilters
from core.text import PlainText

router = APIRouter(prefix="/sessions", tags=["Sessions"], route_class=JsonRoute)

SessionId = Annotated[PlainText, Path(description="As the client wrote it, slashes and all.")]


class SessionListQuery(SessionListFilters, PageQuery):
    sort_by: SortKey = Field(SortKey.RECENT, description="Ties are broken by id.")
    sort_order: Literal["asc", "desc"] = "desc"


class SessionAnalyticsQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")

    granularity: Literal["hour", "day", "week"] = Field("day", description="Weeks begin on Monday.")
    started_after: Moment | None = Field(None, description="Traces from this moment on.")
    started_before: Moment | None = Field(None, description="Traces before this moment.")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.started_after and self.started_before and self.started_after >= self.started_before:
            raise ValueError("started_after must be before started_before")
        return self


@router.get("", summary="List sessions", responses=errors.responses())
async def list_sessions(
    query: Annotated[SessionListQuery, Query()], project: ReadProject, stack: CurrentStack
) -> PageOf[SessionSummary]:
    order = (query.sort_by, query.sort_order == "desc")
    async with stack.database.read() as db:
        found, total = await sessions.page(db, project, query, query.page, order)
    return PageOf(
        items=[SessionSummary.of(stored) for stored in found],
        total=total,
        limit=query.limit,
        offset=query.offset,
    )


@router.get(
    "/analytics",
    summary="Sessions over time",
    description="By when they began, oldest first; periods without sessions are left out. Of a "
    "session that reaches over the edge of the time asked for, the traces within it count.",
    responses=errors.responses(),
)
async def get_session_analytics(
    query: Annotated[SessionAnalyticsQuery, Query()], project: ReadProject, stack: CurrentStack
) -> list[SessionBucket]:
    async with stack.database.read() as db:
        found = await sessions.spans_of_time(
            db,
            project,
            started_after=query.started_after,
            started_before=query.started_before,
        )
    return _buckets(found, query.granularity)


@router.get(
    "/{session_id:path}",
    summary="Read a session",
    description="With its oldest traces.",
    responses=errors.responses(404),
)
async def get_session(
    session_id: SessionId,
    project: ReadProject,
    stack: CurrentStack,
    limit: Annotated[int, Query(ge=1, le=1000, description="How many traces to show.")] = 200,
) -> SessionDetail:
    async with stack.database.read() as db:
        stored, found = await sessions.get(db, project, session_id, limit=limit)
    return SessionDetail.with_traces(stored, found)


@router.delete(
    "/{session_id:path}",
    summary="Delete a session",
    description="All its traces with their spans, tags and scores, and its own scores.",
    responses=errors.responses(404),
)
async def delete_session(
    session_id: SessionId, project: WriteProject, stack: CurrentStack
) -> SessionsDeleted:
    async with stack.database.write() as db:
        return SessionsDeleted(deleted=await sessions.remove(db, project, session_id))


def _buckets(
    found: Iterable[tuple[datetime, float, int]], granularity: Literal["hour", "day", "week"]
) -> list[SessionBucket]:
    sums: dict[datetime, tuple[int, int, float]] = {}
    for began, duration, traces in found:
        bucket = _start_of(began, granularity)
        count, of_traces, of_time = sums.get(bucket, (0, 0, 0.0))
        sums[bucket] = (count + 1, of_traces + traces, of_time + duration)
    return [
        SessionBucket(
            bucket=bucket,
            session_count=count,
            avg_traces_per_session=of_traces / count,
            avg_session_duration_ms=of_time / count,
        )
        for bucket, (count, of_traces, of_time) in sorted(sums.items())
    ]


def _start_of(moment: datetime, granularity: Literal["hour", "day", "week"]) -> datetime:
    hour = moment.replace(minute=0, second=0, microsecond=0)
    if granularity == "hour":
        return hour
    day = hour.replace(hour=0)
    return day - timedelta(days=day.weekday()) if granularity == "week" else day
