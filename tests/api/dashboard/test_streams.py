"""Event streams of pages count toward the limit of the project's streams."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from api.http.stream_limit import StreamLimit
from core.errors import RateLimited
from tests.api.conftest import Service
from tests.api.dashboard.conftest import Browser

_STREAM = "/events/under-way"


@asynccontextmanager
async def opened(service: Service, browser: Browser, path: str) -> AsyncIterator[None]:
    """Holds a stream open; httpx reads a response of an app in this process only as a whole."""
    begun, gone = asyncio.Event(), asyncio.Event()
    unread = [{"type": "http.request", "body": b"", "more_body": False}]
    cookies = "; ".join(f"{name}={value}" for name, value in browser.client.cookies.items())
    scope: dict[str, Any] = {
        "type": "http",
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": f"{browser.project}{path}",
        "raw_path": f"{browser.project}{path}".encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"assay"), (b"cookie", cookies.encode())],
        "client": ("127.0.0.1", 1),
        "server": ("assay", 80),
        "state": {},
    }

    async def receive() -> dict[str, Any]:
        if unread:
            return unread.pop()
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        if message.get("body"):
            begun.set()

    task = asyncio.create_task(service.app(scope, receive, send))
    try:
        async with asyncio.timeout(30):
            await begun.wait()
        yield
    finally:
        gone.set()
        await task


async def test_a_page_gets_no_stream_where_the_project_has_its_most(
    sqlite_service: Service, sqlite_writer: Browser
) -> None:
    stack = replace(sqlite_service.app.state.stack, streams=StreamLimit(1))
    sqlite_service.app.state.stack = stack
    async with opened(sqlite_service, sqlite_writer, _STREAM):
        async with asyncio.timeout(10):
            assert (await sqlite_writer.get(_STREAM)).status_code == 429
        with pytest.raises(RateLimited):
            stack.streams.check(sqlite_service.project_id)
    stack.streams.check(sqlite_service.project_id)
