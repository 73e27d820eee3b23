"""Downloads of scores and traces."""

from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse

from api import errors
from api.dependencies import AppState, CurrentStack, ReadProject
from api.exports.formats import Format
from api.exports.streams import score_export, trace_export
from api.http.json_body import JsonRoute
from core.filters import TraceListFilters
from core.ids import ProjectId, TargetType

router = APIRouter(tags=["Exports"], route_class=JsonRoute)

_FILE: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The file.",
        "content": {one.media_type.partition(";")[0]: {} for one in Format},
    }
}


class TraceFormat(StrEnum):
    JSON_LINES = "jsonl"
    PARQUET = "parquet"


class TraceExportQuery(TraceListFilters):
    """The filters of the list of traces."""


@router.get(
    "/evaluations/trace-runs/{run_id}/scores.{file_format}",
    summary="Export the scores of a trace run",
    description="JSON Lines, CSV or Parquet, streamed from one snapshot.",
    response_class=StreamingResponse,
    responses=errors.responses(404) | _FILE,
)
async def export_trace_run_scores(
    run_id: UUID, file_format: Format, project: ReadProject, stack: CurrentStack
) -> StreamingResponse:
    return await _scores(stack, project, run_id, TargetType.TRACE, file_format)


@router.get(
    "/evaluations/session-runs/{run_id}/scores.{file_format}",
    summary="Export the scores of a session run",
    description="JSON Lines, CSV or Parquet, streamed from one snapshot.",
    response_class=StreamingResponse,
    responses=errors.responses(404) | _FILE,
)
async def export_session_run_scores(
    run_id: UUID, file_format: Format, project: ReadProject, stack: CurrentStack
) -> StreamingResponse:
    return await _scores(stack, project, run_id, TargetType.SESSION, file_format)


@router.get(
    "/traces.{file_format}",
    summary="Export traces",
    description=(
        "Takes the filters of the list. JSON Lines hold whole traces in the form of `POST "
        "/traces`, Parquet has one row per trace."
    ),
    response_class=StreamingResponse,
    responses=errors.responses(404) | _FILE,
)
async def export_traces(
    file_format: TraceFormat,
    query: Annotated[TraceExportQuery, Query()],
    project: ReadProject,
    stack: CurrentStack,
) -> StreamingResponse:
    return trace_export(stack.database, project, query, Format(file_format))


async def _scores(
    stack: AppState,
    project: ProjectId,
    run_id: UUID,
    target_type: TargetType,
    file_format: Format,
) -> StreamingResponse:
    run = await stack.rows.get(project, run_id, target_type)
    return score_export(stack.database, project, run, file_format)
