"""Sessions: the traces that share a session id."""

from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Annotated, Final, Literal
from uuid import UUID

from fastapi import APIRouter, Path, Query, Response
from fastapi.responses import StreamingResponse
from pydantic import ConfigDict, Field

from api import errors
from api.dependencies import AppState, CurrentStack, ReadProject, WriteProject
from api.http import path_text as path_text  # registers `text`
from api.http.json_body import JsonRoute
from api.schemas.pages import PageOf, PageQuery
from api.schemas.sessions import (
    SessionBucket,
    SessionDetail,
    SessionsDeleted,
    SessionSummary,
)
from api.whole_trace import json_of, reserved
from core.db import paging
from core.filters import SessionListFilters
from core.ids import ProjectId
from core.moments import Moment, MomentRange
from core.queries import session_reads, trace_loading, trace_reads
from core.queries.session_listing import SessionSortKey
from core.safe_text import Label

router = APIRouter(prefix="/sessions", tags=["Sessions"], route_class=JsonRoute)

TRACES_PER_READ: Final = 10
BYTES_PER_READ: Final = 1_000_000
"""Stored bytes of the traces that are in memory at once; a larger trace is alone."""

SessionId = Annotated[
    Label, Path(description="The session id as the client sent it, including slashes.")
]


class SessionListQuery(SessionListFilters, PageQuery):
    sort_by: SessionSortKey = Field(SessionSortKey.RECENT, description="Ties are broken by id.")
    sort_order: Literal["asc", "desc"] = "desc"


class SessionTracesQuery(PageQuery):
    limit: int = Field(200, ge=1, le=1000, description="Maximum number of traces.")


class SessionAnalyticsQuery(MomentRange):
    model_config = ConfigDict(extra="forbid")
    range_fields = ("started_after", "started_before")

    granularity: Literal["hour", "day", "week"] = Field("day", description="Weeks begin on Monday.")
    started_after: Moment | None = Field(
        None, description="Traces that started at this moment or later."
    )
    started_before: Moment | None = Field(
        None, description="Traces that started before this moment."
    )


@router.get("", summary="List sessions", responses=errors.responses())
async def list_sessions(
    query: Annotated[SessionListQuery, Query()], project: ReadProject, stack: CurrentStack
) -> PageOf[SessionSummary]:
    order = (query.sort_by, query.sort_order == "desc")
    async with stack.database.read() as db:
        found, total = await session_reads.page(db, project, query, query.page, order)
    return PageOf.of(query, [SessionSummary.of(stored) for stored in found], total)


@router.get(
    "/analytics",
    summary="Get session analytics",
    description=(
        "Grouped by the start of the session, oldest first. Periods without sessions are omitted. "
        "If a session crosses a bound of the range, only its traces within the range count."
    ),
    responses=errors.responses(),
)
async def get_session_analytics(
    query: Annotated[SessionAnalyticsQuery, Query()], project: ReadProject, stack: CurrentStack
) -> list[SessionBucket]:
    async with stack.database.read() as db:
        spans_of_time = await session_reads.spans_of_time(
            db,
            project,
            started_after=query.started_after,
            started_before=query.started_before,
        )
    return _buckets(spans_of_time, query.granularity)


@router.get(
    "/{session_id:text}",
    summary="Get a session",
    description="Includes its traces, oldest first, with content and spans.",
    response_model=SessionDetail,
    responses=errors.responses(404),
)
async def get_session(
    session_id: SessionId,
    query: Annotated[SessionTracesQuery, Query()],
    project: ReadProject,
    stack: CurrentStack,
) -> Response:
    async with stack.database.read() as db:
        stored = await session_reads.get(db, project, session_id)
        ids = await trace_reads.ids_of_session(db, project, session_id, query.page)
        sized = await trace_loading.sized(db, project, ids)
    summary = SessionSummary.of(stored).model_dump_json().encode()
    chunks = paging.chunks_by_size(sized, count=TRACES_PER_READ, size=BYTES_PER_READ)
    sizes = [size for _, size in sized]

    async def make() -> Response:
        parts = _with_traces(stack, project, summary, chunks)
        return StreamingResponse(parts, media_type="application/json")

    if max(sizes, default=0) <= BYTES_PER_READ:
        return await make()
    return reserved(stack, project, sizes, make)


@router.delete(
    "/{session_id:text}",
    summary="Delete a session",
    description="Deletes its traces with their spans, tags and scores, and its own scores.",
    responses=errors.responses(404),
)
async def delete_session(
    session_id: SessionId, project: WriteProject, stack: CurrentStack
) -> SessionsDeleted:
    async with stack.database.write() as db:
        return SessionsDeleted(deleted=await session_reads.remove(db, project, session_id))


async def _with_traces(
    stack: AppState, project: ProjectId, summary: bytes, chunks: Iterable[Sequence[UUID]]
) -> AsyncIterator[bytes]:
    """Streams the summary and the traces, a few at a time, for a session of any size."""
    yield summary[:-1] + b',"traces":['
    separator = b""
    for chunk in chunks:
        async with stack.database.read() as db:
            found = await trace_reads.whole(db, project, chunk)
        for trace in found:
            yield separator + await json_of(trace)
            separator = b","
    yield b"]}"


def _buckets(
    spans_of_time: Iterable[tuple[datetime, float, int]],
    granularity: Literal["hour", "day", "week"],
) -> list[SessionBucket]:
    sums: dict[datetime, tuple[int, int, float]] = {}
    for began, duration, traces in spans_of_time:
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
