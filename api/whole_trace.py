"""A trace with its content and spans as a response."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from typing import Any, Final
from uuid import UUID

from fastapi import Response
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import BaseModel

from api.dependencies import AppState
from api.http.reserved_response import Maker, ReservedResponse
from api.schemas.traces import TraceDetail
from core.ids import ProjectId
from core.queries import trace_loading, trace_reads
from core.queries.trace_reads import StoredTrace

MAX_SPANS_ON_LOOP: Final = 200
MAX_BYTES_ON_LOOP: Final = 200_000

_READING_FACTOR: Final = 8
"""Memory for a large trace, as a multiple of its stored size: its rows, its values and its JSON."""

_CHUNK_BYTES: Final = 256 * 1024


async def whole_trace(
    stack: AppState, project: ProjectId, trace_id: UUID
) -> TraceDetail | Response:
    """The response for a large trace reserves memory until it is sent.

    Raises NotFound.
    """
    async with stack.database.read() as db:
        sizes = await trace_loading.sizes(db, project, [trace_id])
        has_few_bytes = sizes.get(trace_id, 0) <= MAX_BYTES_ON_LOOP
        few = await trace_reads.get(db, project, trace_id) if has_few_bytes else None
    if few is not None:
        if _is_large(few):
            return Response(await json_of(few), media_type="application/json")
        return TraceDetail.of(few)

    async def make() -> Response:
        async with stack.database.read() as db:
            stored = await trace_reads.get(db, project, trace_id)
        content = await json_of(stored)
        return StreamingResponse(
            _chunks(content),
            media_type="application/json",
            headers={"Content-Length": str(len(content))},
        )

    return reserved(stack, project, sizes.values(), make)


def reserved(
    stack: AppState, project: ProjectId, sizes: Iterable[int], make: Maker
) -> ReservedResponse:
    """The response that `make` makes, with memory for the largest of some traces."""
    size = _READING_FACTOR * max(sizes, default=0)
    return ReservedResponse(stack.large_reads.reserve(project, size), make)


@asynccontextmanager
async def room_for(stack: AppState, project: ProjectId, trace_id: UUID) -> AsyncIterator[None]:
    """Reserves memory for work with a large trace."""
    async with stack.database.read() as db:
        size = (await trace_loading.sizes(db, project, [trace_id])).get(trace_id, 0)
    needed = 2 * _READING_FACTOR * size if size > MAX_BYTES_ON_LOOP else 0
    async with stack.large_reads.reserve(project, needed):
        yield


async def json_of(stored: StoredTrace) -> bytes:
    """A large trace is written in a thread: the largest takes half a second."""
    if _is_large(stored):
        return await asyncio.to_thread(lambda: b"".join(_parts(TraceDetail.of(stored))))
    return _json(TraceDetail.of(stored))


def _is_large(stored: StoredTrace) -> bool:
    return len(stored.spans) > MAX_SPANS_ON_LOOP or stored.row.size_bytes > MAX_BYTES_ON_LOOP


async def _chunks(content: bytes) -> AsyncIterator[bytes]:
    """Sent in parts, so that the response ends when the client has read almost all of it."""
    for start in range(0, len(content), _CHUNK_BYTES):
        yield content[start : start + _CHUNK_BYTES]


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
