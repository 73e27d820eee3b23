"""The app behind a real socket, in a thread of this process; Temporal stands in."""

import asyncio
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn

from core.ids import Scope
from core.queries import api_keys
from core.queries.api_keys import NewKey
from core.settings import Settings
from tests.api.conftest import Service, provider, running, serve
from tests.ports import free_port

API_KEY = "contract-key-for-tests"


class ServerThread(threading.Thread):
    def __init__(self, database_url: str, settings: Settings) -> None:
        super().__init__(daemon=True)
        self.ready = threading.Event()
        self.url = f"http://127.0.0.1:{free_port()}"
        self._database_url, self._settings = database_url, settings
        self._server: uvicorn.Server | None = None

    def run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        async for service in serve(self._database_url, self._settings):
            await self._prepare(service)
            port = int(self.url.rpartition(":")[2])
            # A thousand tags of maximum length make a request head that servers refuse.
            config = uvicorn.Config(
                service.app,
                port=port,
                lifespan="off",
                log_config=None,
                h11_max_incomplete_event_size=2_000_000,
            )
            self._server = uvicorn.Server(config)
            serving = asyncio.create_task(self._server.serve())
            while not self._server.started:
                await asyncio.sleep(0.01)
            self.ready.set()
            await serving

    async def _prepare(self, service: Service) -> None:
        await service.publish(provider())
        service.runs.answers = running()
        async with service.database.write() as db:
            key = NewKey(
                "contract", scope=Scope.ADMIN, project_id=service.project_id, any_project=True
            )
            await api_keys.ensure(db, key, API_KEY)

    def stop(self) -> None:
        assert self._server is not None
        self._server.should_exit = True
        self.join(20)


@pytest.fixture(scope="session")
def served(
    sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerThread]:
    folder = tmp_path_factory.mktemp("contract")
    shutil.copy(sqlite_template, folder / "assay.db")
    thread = ServerThread(f"sqlite:///{folder}/assay.db", Settings(_env_file=None, home=folder))
    thread.start()
    assert thread.ready.wait(30)
    yield thread
    thread.stop()
