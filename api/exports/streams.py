"""Streams an export from one snapshot, with one page in memory."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar

from fastapi.responses import StreamingResponse

from api.exports import formats
from api.exports.columns import SCORE_COLUMNS, score_record, trace_record
from api.exports.formats import Format, RecordWriter
from api.schemas.traces import TraceDetail
from core.db.database import Database
from core.errors import Unavailable
from core.filters import TraceFilters, TraceListFilters
from core.ids import ProjectId
from core.owner_counts import OwnerCounts
from core.queries import export_reads
from core.queries.trace_reads import StoredTrace

if TYPE_CHECKING:
    from core.db.tables import EvalRun, Score

MAX_EXPORTS: Final = 4
"""Maximum number of concurrent exports per process; each export keeps a connection and a snapshot
until its end.
"""

Row = TypeVar("Row")

MAX_EXPORTS_PER_PROJECT: Final = 3
_running = asyncio.Semaphore(MAX_EXPORTS)
_of_projects = OwnerCounts()


def score_export(
    database: Database, project_id: ProjectId, run: "EvalRun", file_format: Format
) -> StreamingResponse:
    """Raises Unavailable if the maximum number of exports is running."""

    async def content() -> AsyncIterator[bytes]:
        writer = _score_writer(file_format)
        async with database.read() as db:
            pages = export_reads.scores(db, project_id, run)
            async for part in _written(pages, writer, _score_records):
                yield part

    return _response(content, project_id, f"scores-{run.id}", file_format)


def trace_export(
    database: Database,
    project_id: ProjectId,
    filters: TraceFilters | TraceListFilters,
    file_format: Format,
) -> StreamingResponse:
    """JSON Lines hold whole traces with their spans; Parquet has one row per trace."""
    whole = file_format is Format.JSON_LINES

    async def content() -> AsyncIterator[bytes]:
        writer: RecordWriter = (
            formats.JsonLinesWriter()
            if whole
            else await asyncio.to_thread(formats.ParquetWriter, formats.trace_schema)
        )
        async with database.read() as db:
            pages = export_reads.traces(db, project_id, filters)
            records = _whole_traces if whole else _trace_records
            async for part in _written(pages, writer, records):
                yield part

    return _response(content, project_id, "traces", file_format)


def _score_writer(file_format: Format) -> RecordWriter:
    match file_format:
        case Format.JSON_LINES:
            return formats.JsonLinesWriter()
        case Format.CSV:
            return formats.CsvWriter(SCORE_COLUMNS)
        case _:
            return formats.ParquetWriter(formats.score_schema)


def _score_records(rows: Sequence["Score"]) -> list[dict[str, Any]]:
    return [score_record(row) for row in rows]


def _trace_records(rows: Sequence[StoredTrace]) -> list[dict[str, Any]]:
    return [trace_record(row) for row in rows]


def _whole_traces(rows: Sequence[StoredTrace]) -> list[dict[str, Any]]:
    return [_whole_trace(TraceDetail.of(row)) for row in rows]


def _whole_trace(trace: TraceDetail) -> dict[str, Any]:
    """Span by span, because a single call would hold the interpreter for all of them."""
    head = trace.model_copy(update={"spans": []}).model_dump(mode="json")
    return head | {"spans": [span.model_dump(mode="json") for span in trace.spans]}


async def _written(
    pages: AsyncIterator[Sequence[Row]],
    writer: RecordWriter,
    records_of: Callable[[Sequence[Row]], list[dict[str, Any]]],
) -> AsyncIterator[bytes]:
    def write(rows: Sequence[Row]) -> bytes:
        return writer.write(records_of(rows))

    async for rows in pages:
        # Runs in a thread, because encoding a page takes milliseconds and other requests must not
        # wait.
        yield await asyncio.to_thread(write, rows)
    yield await asyncio.to_thread(writer.finish)


def _response(
    content: Callable[[], AsyncIterator[bytes]],
    project_id: ProjectId,
    name: str,
    file_format: Format,
) -> StreamingResponse:
    if _of_projects.of(project_id) >= MAX_EXPORTS_PER_PROJECT:
        raise Unavailable(
            "Another export",
            f"{MAX_EXPORTS_PER_PROJECT} exports of this project are running. Try again when one "
            "has ended.",
        )
    if _running.locked():
        raise Unavailable(
            "Another export", f"{MAX_EXPORTS} exports are running. Try again when one has ended."
        )

    async def guarded() -> AsyncIterator[bytes]:
        async with _running:
            with _of_projects.using(project_id):
                async for part in content():
                    yield part

    return StreamingResponse(
        guarded(),
        media_type=file_format.media_type,
        headers={"Content-Disposition": f'attachment; filename="{name}.{file_format.value}"'},
    )
