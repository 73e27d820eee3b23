"""One project, or clients without a key, do not take the place of others."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest

from api.http import request_body
from api.http.gatekeeper import owner_of
from api.http.prometheus import ApiMeasures
from core.ids import Scope
from core.settings import Settings
from tests.api.conftest import Service, serve

KEYLESS = {"Authorization": "", "Content-Type": "application/x-www-form-urlencoded"}


class Stalling:
    """Requests whose bodies never end."""

    def __init__(self, service: Service, path: str, headers: Mapping[str, str]) -> None:
        self._service = service
        self._path = path
        self._headers = {**headers, "Content-Length": "100"}

    @asynccontextmanager
    async def open(self, count: int) -> AsyncIterator[None]:
        begun: asyncio.Queue[None] = asyncio.Queue()

        async def body() -> AsyncIterator[bytes]:
            begun.put_nowait(None)
            await asyncio.Event().wait()
            yield b""

        posts = [
            asyncio.create_task(
                self._service.client.post(self._path, content=body(), headers=self._headers)
            )
            for _ in range(count)
        ]
        try:
            async with asyncio.timeout(10):
                for _ in range(count):
                    await begun.get()
            yield
        finally:
            for post in posts:
                post.cancel()
            await asyncio.gather(*posts, return_exceptions=True)


@pytest.mark.parametrize("path", ["/ui/sign-in", "/no/such/page"])
async def test_a_key_finds_room_beside_bodies_without_a_key_that_never_end(
    sqlite_url: str, settings: Settings, path: str
) -> None:
    settings = settings.model_copy(update={"max_concurrent_requests": 4})
    async for service in serve(sqlite_url, settings):
        async with Stalling(service, path, KEYLESS).open(3):
            refused = await service.client.post(path, content=b"", headers=KEYLESS)
            assert refused.status_code == 503
            assert (await service.client.get("/traces")).status_code == 200
            assert (await service.client.get("/health")).status_code == 200


async def test_a_project_finds_room_beside_another_that_uses_all_it_may(
    sqlite_url: str, settings: Settings
) -> None:
    settings = settings.model_copy(update={"max_concurrent_requests": 4})
    async for service in serve(sqlite_url, settings):
        other = {"Authorization": f"Bearer {await service.key(scope=Scope.WRITE)}"}
        headers = other | {"X-Project-Name": "another", "Content-Type": "application/json"}
        assert (await service.client.get("/traces", headers=headers)).status_code == 200
        async with Stalling(service, "/traces", {"Content-Type": "application/json"}).open(3):
            assert (await service.client.get("/traces")).status_code == 503
            assert (await service.client.get("/traces", headers=headers)).status_code == 200
        assert (await service.client.get("/traces")).status_code == 200


async def test_bodies_without_a_key_leave_half_of_the_memory() -> None:
    mb = request_body.MAX_KEYLESS_BYTES
    passed: list[int] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        passed.append(len((await receive())["body"]))

    body = request_body.RequestBody(app, limit=2 * mb, memory=4 * mb, measures=ApiMeasures())

    def scope(port: int, **more: Any) -> dict[str, Any]:
        headers = [(b"content-length", str(mb).encode())]
        client = ("192.0.2.1", port)
        return {"type": "http", "path": "/", "headers": headers, "client": client, **more}

    async def never() -> Any:
        await asyncio.Event().wait()

    async def whole() -> Any:
        return {"type": "http.request", "body": b" " * mb, "more_body": False}

    async def send(message: Any) -> None: ...

    class Key:
        owner = "a project"

    stalled = [asyncio.create_task(body(scope(port), never, send)) for port in range(8)]
    try:
        async with asyncio.timeout(5):
            await body(scope(9, **{"assay.access": Key}), whole, send)
    finally:
        for one in stalled:
            one.cancel()
        await asyncio.gather(*stalled, return_exceptions=True)
    assert passed == [mb]
    assert owner_of(scope(1)) == owner_of(scope(2))
