"""Connections with incomplete requests or unread responses are closed."""

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
import uvicorn

from api.http import timed_protocol
from api.http.timed_protocol import TimedProtocol

UNREAD_BYTES = 64 * 1024 * 1024
answered = asyncio.Event()


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["path"] == "/large":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        part = b"x" * (UNREAD_BYTES // 64)
        for left in reversed(range(64)):
            await send({"type": "http.response.body", "body": part, "more_body": left > 0})
        answered.set()
        return
    # Sent before the body arrives, so that a part of the body stays unread.
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


@pytest.fixture
async def address(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[str, int]]:
    monkeypatch.setattr(timed_protocol, "HEAD_SECONDS", 0.3)
    monkeypatch.setattr(timed_protocol, "MAX_INCOMPLETE_HEADS", 20)
    monkeypatch.setattr(timed_protocol, "UNREAD_SECONDS", 0.3)
    monkeypatch.setattr(timed_protocol, "MIN_READ_BYTES_PER_SECOND", 100_000_000)
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, http=TimedProtocol, lifespan="off", log_config=None)
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve([listener]))
    yield listener.getsockname()
    server.should_exit = True
    await serving


@pytest.mark.slow
@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"POST /traces HTTP/1.1\r\nHost: a\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HT",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999\r\n\r\nx",
    ],
)
async def test_what_never_comes_whole_is_closed(address: tuple[str, int], sent: bytes) -> None:
    reader, writer = await asyncio.open_connection(*address)
    writer.write(sent)
    async with asyncio.timeout(5):
        for _ in range(20):
            try:
                if not await reader.read(1000):
                    break
                writer.write(b"x")  # single bytes do not extend the deadline
                await asyncio.sleep(0.05)
            except ConnectionError:
                break
    writer.close()


async def test_half_sent_requests_do_not_keep_others_out(address: tuple[str, int]) -> None:
    half = [await asyncio.open_connection(*address) for _ in range(60)]
    for _, writer in half:
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n")
    assert len(TimedProtocol._incomplete) <= 20
    reader, writer = await asyncio.open_connection(*address)
    writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert (await reader.readline()).startswith(b"HTTP/1.1 200")
    for _, one in [*half, (reader, writer)]:
        one.close()


@pytest.mark.slow
async def test_a_response_that_nobody_reads_ends(address: tuple[str, int]) -> None:
    answered.clear()
    reader, writer = await asyncio.open_connection(*address)
    writer.write(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
    try:
        async with asyncio.timeout(10):
            # The app waits for the client, until the connection is closed.
            await answered.wait()
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await reader.readexactly(UNREAD_BYTES)
    finally:
        writer.transport.abort()  # otherwise the server waits for the end of the response


async def test_a_response_that_is_read_slowly_arrives_whole(address: tuple[str, int]) -> None:
    reader, writer = await asyncio.open_connection(*address)
    writer.write(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
    found = 0
    async with asyncio.timeout(20):
        while found < UNREAD_BYTES:
            found += len(await reader.readexactly(4 * 1024 * 1024))
            await asyncio.sleep(0.01)
    writer.close()
