"""Live parts of pages as server-sent events: HTML that replaces what a page shows."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Final
from uuid import UUID
from weakref import WeakValueDictionary

from cachetools import TLRUCache
from fastapi import APIRouter, Query, Request
from fastapi.responses import StreamingResponse

from api.dashboard import live_run, rendering, run_rows_view, views
from api.dashboard.access import PageViewer, ProjectViewer
from api.dashboard.runs import RunListAddress
from api.http.key_watch import KeyWatch
from api.runs import progress
from core import json_codec
from core.db.paging import Page
from core.filters import TraceFilters
from core.ids import RunStatus
from core.queries import run_listing, run_rows, trace_reads
from core.queries.run_listing import RunFilters

router = APIRouter(include_in_schema=False)

_BETWEEN_EVENTS_SECONDS: Final = 0.5
_BETWEEN_LISTS_SECONDS: Final = 2.0
_SIGN_OF_LIFE_SECONDS: Final = 15.0
_MAX_STREAM_SECONDS: Final = 600.0
"""Maximum duration of a stream. The browser then reconnects by itself."""

_MAX_SHARED: Final = 1000
_AGE_PER_WORKING_TIME: Final = 6
_MAX_AGE_SECONDS: Final = 3.0
_UNDER_WAY: Final = RunFilters(statuses=(RunStatus.PENDING, RunStatus.RUNNING))


@dataclass(frozen=True, slots=True)
class Update:
    """HTML by the part of the page that it replaces. `over`: no update follows."""

    parts: dict[str, str]
    title: str = ""
    over: bool = False


Produce = Callable[[], Awaitable[Update]]


@dataclass(frozen=True, slots=True)
class SharedEvent:
    """An update in the form that all streams send. Equal updates have equal texts."""

    text: str
    over: bool
    kept_seconds: float


def _expires_at(_key: str, event: SharedEvent, now: float) -> float:
    return now + event.kept_seconds


class SharedUpdates:
    """Computes and writes each update once for all browsers that follow the same page.

    An update is reused for six times as long as its computation took, within bounds. A run of any
    size, followed by any number of browsers, therefore costs at most a sixth of a core.
    """

    def __init__(self) -> None:
        self._events: TLRUCache[str, SharedEvent] = TLRUCache(_MAX_SHARED, ttu=_expires_at)
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def newest(self, key: str, produce: Produce, max_age_seconds: float) -> SharedEvent:
        event = self._events.get(key)
        if event is not None:
            return event
        lock = self._locks.setdefault(key, asyncio.Lock())
        async with lock:
            event = self._events.get(key)
            if event is None:
                began = time.monotonic()
                update = await produce()
                took = time.monotonic() - began
                kept_seconds = max(
                    0.9 * max_age_seconds, min(_MAX_AGE_SECONDS, _AGE_PER_WORKING_TIME * took)
                )
                event = self._events[key] = SharedEvent(_text(update), update.over, kept_seconds)
            return event


def _text(update: Update) -> str:
    if update.over:
        return "event: done\ndata: {}\n\n"
    data = json_codec.dumps({"title": update.title, "parts": update.parts})
    return f"data: {data}\n\n"


_shared: Final = SharedUpdates()


async def _stream(
    viewer: ProjectViewer, key: str, produce: Produce, between_seconds: float
) -> AsyncIterator[str]:
    """Raises RateLimited if the project has too many open streams, including streams of the API."""
    watch = KeyWatch(lambda: viewer.stack.authenticator.signed_in(viewer.secret))
    with viewer.stack.streams.open(viewer.project.id):
        async for text in _texts(watch, key, produce, between_seconds):
            yield text


async def _texts(
    watch: KeyWatch, key: str, produce: Produce, between_seconds: float
) -> AsyncIterator[str]:
    """Ends once the browser is signed out or its key is unusable."""
    began = spoke = time.monotonic()
    last = ""
    yield "retry: 2000\n\n"
    while time.monotonic() - began < _MAX_STREAM_SECONDS and await watch.may_continue():
        event = await _shared.newest(key, produce, between_seconds)
        if event.over:
            yield event.text
            return
        # Unchanged text is usually the same object, so the comparison is cheap.
        if event.text is not last and event.text != last:
            yield event.text
            last, spoke = event.text, time.monotonic()
        elif time.monotonic() - spoke >= _SIGN_OF_LIFE_SECONDS:
            # Proxies close idle connections.
            yield ": still here\n\n"
            spoke = time.monotonic()
        await asyncio.sleep(between_seconds)


def _answer(
    viewer: ProjectViewer,
    key: str,
    produce: Produce,
    between_seconds: float,
) -> StreamingResponse:
    """Raises RateLimited before the stream begins, if the limit is already reached."""
    viewer.stack.streams.check(viewer.project.id)
    return StreamingResponse(
        _stream(viewer, key, produce, between_seconds),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"},
    )


@router.get("/ui/{project}/runs/{run_id}/events")
async def run_events(viewer: PageViewer, run_id: UUID) -> StreamingResponse:
    """Streams the live parts of a run's page, then `done` when the run has ended."""

    async def produce() -> Update:
        async with viewer.stack.database.read() as db:
            row = await run_rows.get(db, viewer.project.id, run_id)
        body = await progress.live(viewer.stack, row)
        if body.status.terminal:
            return Update({}, over=True)
        context = await live_run.context(viewer, row, body)
        html = rendering.macro(
            "run_live_parts.html", "live", {"view": context, "root": viewer.at()}
        )
        return Update({"self": html}, title=f"{context['percent']} {context['name']}")

    await _check_run(viewer, run_id)
    return _answer(viewer, f"run {run_id}", produce, _BETWEEN_EVENTS_SECONDS)


async def _check_run(viewer: ProjectViewer, run_id: UUID) -> None:
    """Raises NotFound before the stream begins."""
    async with viewer.stack.database.read() as db:
        await run_rows.get(db, viewer.project.id, run_id)


@router.get("/ui/{project}/events/under-way")
async def under_way_events(viewer: PageViewer) -> StreamingResponse:
    async def produce() -> Update:
        async with viewer.stack.database.read() as db:
            found, _ = await run_listing.page(db, viewer.project.id, _UNDER_WAY, Page(20))
        rows = await run_rows_view.rows(viewer, found)
        context = {"rows": rows, "root": viewer.at()}
        return Update({"self": rendering.macro("run_table.html", "under_way_table", context)})

    return _answer(viewer, f"under way {viewer.project.id}", produce, _BETWEEN_LISTS_SECONDS)


@router.get("/ui/{project}/events/runs")
async def run_list_events(
    request: Request, viewer: PageViewer, parameters: Annotated[RunListAddress, Query()]
) -> StreamingResponse:
    page = Page(25, parameters.offset)

    async def produce() -> Update:
        async with viewer.stack.database.read() as db:
            found, _ = await run_listing.page(
                db, viewer.project.id, parameters.filters(), page, parameters.sort_by
            )
        rows = await run_rows_view.rows(viewer, found)
        columns = views.metric_columns([row.run for row in rows])
        context = {"rows": rows, "columns": columns, "root": viewer.at()}
        return Update({"self": rendering.macro("run_table.html", "run_rows", context)})

    return _answer(
        viewer, f"runs {viewer.project.id} {request.url.query}", produce, _BETWEEN_LISTS_SECONDS
    )


@router.get("/ui/{project}/events/first-trace")
async def first_trace_events(viewer: PageViewer) -> StreamingResponse:
    """Streams `done` when the project has its first trace."""

    async def produce() -> Update:
        async with viewer.stack.database.read() as db:
            return Update(
                {}, over=await trace_reads.any_match(db, viewer.project.id, TraceFilters())
            )

    return _answer(viewer, f"first trace {viewer.project.id}", produce, _BETWEEN_LISTS_SECONDS)
