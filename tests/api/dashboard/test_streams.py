"""Event streams of pages count toward the limit of the project, and end with their key."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from api.dashboard import events
from api.dashboard.access import COOKIE
from api.http import key_watch
from api.http.stream_limit import StreamLimit
from core.errors import RateLimited
from core.ids import Scope
from core.queries import api_keys, dashboard_sessions
from core.queries.api_keys import NewKey
from tests.api.conftest import Service
from tests.api.dashboard.conftest import Browser, browser, sign_in

_STREAM = "/events/under-way"


@asynccontextmanager
async def opened(
    service: Service, browser: Browser, path: str
) -> AsyncIterator[asyncio.Task[None]]:
    """Holds a stream open, and yields the task that serves it.

    httpx reads a response of an app in this process only as a whole.
    """
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
        yield task
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


async def revoke(service: Service, key_id: UUID, _secret: str) -> None:
    async with service.database.write() as db:
        await api_keys.revoke(db, key_id)


async def sign_out(service: Service, _key_id: UUID, secret: str) -> None:
    async with service.database.write() as db:
        await dashboard_sessions.close_session(db, secret)


@pytest.mark.parametrize("lose_access", [revoke, sign_out])
async def test_a_stream_ends_when_its_key_is_revoked_or_its_browser_signed_out(
    sqlite_service: Service,
    monkeypatch: pytest.MonkeyPatch,
    lose_access: Callable[[Service, UUID, str], Awaitable[None]],
) -> None:
    service = sqlite_service
    monkeypatch.setattr(key_watch, "CHECK_SECONDS", 0.0)
    monkeypatch.setattr(events, "_BETWEEN_LISTS_SECONDS", 0.01)
    async with service.database.write() as db:
        row, key = await api_keys.create(db, NewKey("reader", Scope.READ, service.project_id))
    async with browser(service) as one:
        await sign_in(one, key)
        async with opened(service, one, _STREAM) as stream:
            await asyncio.wait([stream], timeout=0.2)
            assert not stream.done()
            await lose_access(service, row.id, one.client.cookies[COOKIE])
            async with asyncio.timeout(10):
                await stream
