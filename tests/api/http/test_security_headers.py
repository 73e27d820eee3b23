"""Security headers of all responses, and the served host names."""

import pytest

from core.settings import Settings
from tests.api.conftest import Service, serve


@pytest.mark.parametrize("path", ["/health", "/traces", "/nowhere", "/docs", "/metrics"])
async def test_every_answer_tells_browsers_not_to_guess_frame_or_keep_it(
    shared_service: Service, path: str
) -> None:
    headers = (await shared_service.client.get(path)).headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    if path != "/docs":
        assert headers["Content-Security-Policy"].startswith("default-src 'none'")
        assert headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    ("host", "served"),
    [
        ("127.0.0.1:8000", True),
        ("LOCALHOST", True),
        ("[::1]:8000", True),
        ("evil.test", False),
        ("127.0.0.1.evil.test", False),
        ("", False),
    ],
)
async def test_only_the_configured_hosts_are_served(
    sqlite_url: str, settings: Settings, host: str, served: bool
) -> None:
    settings = settings.model_copy(update={"allowed_hosts": "127.0.0.1, localhost,[::1]"})
    async for service in serve(sqlite_url, settings):
        for path in ("/docs", "/traces"):
            answer = await service.client.get(path, headers={"Host": host})
            assert (answer.status_code == 200) == served


async def test_probes_ask_under_the_address_of_a_container(
    sqlite_url: str, settings: Settings
) -> None:
    settings = settings.model_copy(update={"allowed_hosts": "assay.example.com"})
    async for service in serve(sqlite_url, settings):
        for path in ("/health", "/ready", "/metrics"):
            answer = await service.client.get(path, headers={"Host": "10.0.0.7:8000"})
            assert answer.status_code != 400, path


async def test_a_length_beside_chunks_is_refused_and_the_connection_closed(
    shared_service: Service,
) -> None:
    headers = {"Content-Length": "1", "Transfer-Encoding": "chunked"}
    answer = await shared_service.client.post("/traces", headers=headers)
    assert (answer.status_code, answer.headers["Connection"]) == (400, "close")


@pytest.mark.parametrize("given", ["a] forged [b", "a]b", "[", "a\x7f"])
async def test_a_request_id_cannot_close_the_bracket_of_a_log_line(
    shared_service: Service, given: str
) -> None:
    answer = await shared_service.client.get("/health", headers={"X-Request-ID": given})
    assert len(answer.headers["X-Request-ID"]) == 36
