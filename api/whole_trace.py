"""A trace with its content and spans as a response."""

import asyncio
from collections.abc import Iterator
from typing import Any, Final
from uuid import UUID

from fastapi import Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from api.schemas.traces import TraceDetail
from core.db.database import Database
from core.ids import ProjectId
from core.queries import trace_reads

MAX_SPANS_ON_LOOP: Final = 200
MAX_BYTES_ON_LOOP: Final = 200_000


async def whole_trace(
    database: Database, project: ProjectId, trace_id: UUID
) -> TraceDetail | Response:
    """A large trace is written in a thread: the largest takes half a second.

    Raises NotFound.
    """
    async with database.read() as db:
        stored = await trace_reads.get(db, project, trace_id)
    if len(stored.spans) <= MAX_SPANS_ON_LOOP and stored.row.size_bytes <= MAX_BYTES_ON_LOOP:
        return TraceDetail.of(stored)
    content = await asyncio.to_thread(lambda: b"".join(_parts(TraceDetail.of(stored))))
    return Response(content, media_type="application/json")


def _parts(trace: TraceDetail) -> Iterator[bytes]:
    """Span by span, because a single call would hold the interpreter for all of them."""
    head = _json(trace.model_copy(update={"spans": []}))
    end = b'"spans":[]}'
    assert head.endswith(end)
    yield head.removesuffix(b"]}")
    for number, span in enumerate(trace.spans):
        yield (b"," if number else b"") + _json(span)
    yield b"]}"


def _json(value: BaseModel) -> bytes:
    """The bytes that FastAPI makes of the value."""
    dumped: Any = value.model_dump(mode="json")
    return bytes(JSONResponse(dumped).body)
