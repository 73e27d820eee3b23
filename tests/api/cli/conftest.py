import json
import signal
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from tests.api.cli.up_process import Up, settings_for, still_running

Settings = dict[str, str]


@pytest.fixture
def start() -> Iterator[Callable[..., Up]]:
    """Starts `assay up`; kills it with its children after a failed test."""
    started: list[Up] = []

    def run(settings: Settings, *arguments: str) -> Up:
        started.append(Up(settings, *arguments))
        return started[-1]

    yield run
    for up in started:
        up.clean_up()


class NoSuchModel(BaseHTTPRequestHandler):
    """A judge server without any model."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        body = b'{"error": "model \\"missing\\" not found, try pulling it first"}'
        self.send_response(404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="session")
def judge_without_models() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), NoSuchModel) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="session")
def stack(
    tmp_path_factory: pytest.TempPathFactory, judge_without_models: str
) -> Iterator[Settings]:
    settings = settings_for(tmp_path_factory.mktemp("home"))
    settings["OLLAMA_API_BASE"] = judge_without_models
    up = Up(settings, "--no-demo")
    try:
        up.until("Serving")
        yield settings
        family = up.family()
        assert up.stop(signal.SIGTERM) == 0
        assert still_running(family) == []
    finally:
        up.clean_up()


@pytest.fixture
def api(stack: Settings) -> Iterator[httpx.Client]:
    kept = json.loads((Path(stack["ASSAY_HOME"]) / "credentials.json").read_text())
    with httpx.Client(base_url=kept["url"], headers={"X-API-Key": kept["api_key"]}) as client:
        yield client
