"""Start and shutdown of an API process."""

import asyncio
import logging
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from sqlalchemy.exc import IntegrityError
from starlette.types import Message

from api.app import create_app
from api.http import request_body
from api.routes import runs
from core.errors import Misconfigured
from core.settings import Settings
from core.telemetry import log_ids, log_lines
from tests.api.conftest import Service


async def test_a_key_and_a_project_are_made_at_start(any_database_url: str, tmp_path: Path) -> None:
    settings = Settings(
        _env_file=None,
        home=tmp_path,
        database_url=any_database_url,
        bootstrap_api_key="chosen-by-somebody",
        bootstrap_project="first",
    )
    for _ in range(2):
        app = create_app(settings)
        transport = httpx.ASGITransport(app)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://assay") as client,
        ):
            headers = {"X-API-Key": "chosen-by-somebody", "X-Project-Name": "first"}
            assert (await client.get("/traces", headers=headers)).status_code == 200


async def test_only_a_process_of_its_own_leaves_its_heap_out_of_the_collectors_searches(
    sqlite_url: str, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    freezes: list[None] = []
    monkeypatch.setattr("api.app.gc.freeze", lambda: freezes.append(None))
    monkeypatch.setenv("ASSAY_HOME", str(tmp_path))
    monkeypatch.setenv("ASSAY_DATABASE_URL", sqlite_url)
    beside_others = create_app(settings.model_copy(update={"database_url": sqlite_url}))
    async with beside_others.router.lifespan_context(beside_others):
        assert not freezes
    alone = create_app()
    async with alone.router.lifespan_context(alone):
        assert len(freezes) == 1


async def test_an_old_schema_stops_the_start_where_migrating_is_off(tmp_path: Path) -> None:
    app = create_app(Settings(_env_file=None, home=tmp_path, auto_migrate=False))
    with pytest.raises(Misconfigured, match=r"python -m core\.migrations"):
        async with app.router.lifespan_context(app):
            pass


async def test_the_server_starts_and_stops_it_by_the_protocol(
    sqlite_url: str, settings: Settings
) -> None:
    app = create_app(settings.model_copy(update={"database_url": sqlite_url}))
    told: list[Message] = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
    sent: list[str] = []

    async def receive() -> Message:
        return told.pop(0)

    async def send(message: Message) -> None:
        sent.append(message["type"])

    await app({"type": "lifespan", "asgi": {"version": "3.0"}}, receive, send)
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


def test_log_lines_carry_the_request_id(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    monkeypatch.setattr(root, "level", root.level)
    log_lines.configure("INFO", force=False)
    with log_ids.scope(request_id="mine"):
        logging.getLogger("api.somewhere").info("hello")
    assert "INFO api.somewhere [mine] hello" in capsys.readouterr().err


async def test_an_answer_that_breaks_off_is_cut_and_logged(
    sqlite_service: Service, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    await sqlite_service.post_trace()
    opened = await sqlite_service.client.post(
        "/evaluations/trace-runs", json={"metrics": ["task_completion"]}
    )

    async def broken(*_: object) -> AsyncIterator[str]:
        yield "["
        raise LookupError("my secret")

    monkeypatch.setattr(runs, "_scores", broken)
    with pytest.raises(LookupError):
        await sqlite_service.client.get(f"/evaluations/trace-runs/{opened.json()['id']}/scores")
    assert "Unexpected error" in caplog.text


async def test_an_error_of_ours_in_the_store_is_no_outage(
    sqlite_service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> None:
        raise IntegrityError("INSERT", {}, Exception("my secret"))

    monkeypatch.setattr("core.queries.api_keys.find_usable", broken)
    answer = await sqlite_service.client.get("/traces")
    assert answer.status_code == 500
    assert "my secret" not in answer.text


async def test_a_refused_body_that_stalls_is_answered_all_the_same(
    shared_service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request_body, "_DRAIN_SECONDS", 0.05)

    async def stalling() -> AsyncIterator[bytes]:
        yield b"x" * (11 * 1024 * 1024)
        await asyncio.Event().wait()

    answer = await shared_service.client.post("/traces", content=stalling())
    assert answer.status_code == 413


async def test_who_asks_before_sending_is_refused_at_once(shared_service: Service) -> None:
    async def never() -> AsyncIterator[bytes]:
        yield b""
        raise AssertionError("nothing was to be sent")

    headers = {"Expect": "100-continue", "Content-Length": str(11 * 1024 * 1024)}
    answer = await shared_service.client.post("/traces", content=never(), headers=headers)
    assert answer.status_code == 413


@pytest.mark.slow
def test_the_description_is_printed() -> None:
    printed = subprocess.run(
        [sys.executable, "-m", "api.openapi"], capture_output=True, text=True, check=True
    )
    assert '"title": "Assay"' in printed.stdout


async def test_only_one_project_is_made_by_many_first_requests(service: Service) -> None:
    headers = {"X-API-Key": await service.key(), "X-Project-Name": "new"}
    answers = await asyncio.gather(
        *(service.client.get("/traces", headers=headers) for _ in range(8))
    )
    assert {answer.status_code for answer in answers} == {200}


async def test_405_names_every_method_of_the_path_also_beside_ids(
    sqlite_service: Service,
) -> None:
    for path, method, allowed in (
        ("/traces", "PUT", "GET, POST"),
        (f"/traces/{uuid4()}", "POST", "DELETE, GET, PATCH"),
        ("/traces/users", "PATCH", "GET"),
        ("/evaluations/trace-runs/batch", "GET", "POST"),
        ("/v1/traces", "GET", "POST"),
    ):
        answer = await sqlite_service.client.request(method, path)
        assert (answer.status_code, answer.headers["Allow"]) == (405, allowed), path
        assert answer.headers["X-Request-ID"]
    assert (await sqlite_service.client.put("/nowhere")).status_code == 404
