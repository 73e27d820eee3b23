"""The description of the API: as committed, complete, and good to read."""

import re
from pathlib import Path
from typing import Any

import pytest

from api import openapi
from api.app import create_app
from core.settings import Settings
from tests.api.conftest import Service

SNAPSHOT = Path(__file__).parent / "openapi.json"
OPEN = {"/health", "/ready", "/metrics"}


def operations(settings: Settings) -> list[tuple[str, dict[str, Any]]]:
    paths = create_app(settings).openapi()["paths"]
    return [(path, found) for path, methods in paths.items() for found in methods.values()]


def test_the_description_is_the_committed_one() -> None:
    assert openapi.text() == SNAPSHOT.read_text(), (
        "If the change is meant: python -m api.openapi > tests/api/openapi.json"
    )


def test_settings_do_not_change_the_description(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ASSAY_MAX_BODY_BYTES", "2048")
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("ASSAY_API_PORT=1")
    assert openapi.text() == SNAPSHOT.read_text()


def test_every_operation_says_what_it_does_and_how_it_is_refused(settings: Settings) -> None:
    for path, operation in operations(settings):
        assert operation["summary"], path
        assert operation["tags"], path
        if path in OPEN:
            continue
        assert {"401", "403", "422", "503"} <= set(operation["responses"]), path
        assert operation["security"], path
        if "{" in path:
            assert "404" in operation["responses"], path
        if "requestBody" in operation:
            assert {"413", "415"} <= set(operation["responses"]), path


def test_operation_ids_are_names(settings: Settings) -> None:
    ids = [operation["operationId"] for _, operation in operations(settings)]
    assert len(set(ids)) == len(ids)
    assert all(id.isidentifier() for id in ids)


@pytest.mark.parametrize("page", ["/docs", "/redoc"])
async def test_the_pages_to_read_it_on_need_no_internet(sqlite_service: Service, page: str) -> None:
    text = (await sqlite_service.client.get(page)).text
    taken = re.findall(r"""(?:src|href|url:) ?=?["']([^"']+)["']""", text.replace("url: ", "url:"))
    assert len(taken) >= 2
    for address in taken:
        assert address.startswith("/"), address
        assert (await sqlite_service.client.get(address)).status_code == 200
