"""The OpenAPI document: committed, complete and readable."""

import re
from pathlib import Path
from typing import Any

import pytest

from api import openapi
from tests.api.conftest import RECORDED_DOCUMENT, Service, recorded_document

OPEN = {"/health", "/ready", "/metrics"}


def operations() -> list[tuple[str, dict[str, Any]]]:
    paths = recorded_document()["paths"]
    return [(path, found) for path, methods in paths.items() for found in methods.values()]


@pytest.mark.slow
def test_the_description_is_the_committed_one_whatever_the_settings(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ASSAY_MAX_BODY_BYTES", "2048")
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("ASSAY_API_PORT=1")
    assert openapi.text() == RECORDED_DOCUMENT.read_text(), (
        "If the change is meant: python -m api.openapi > tests/api/openapi.json"
    )


def test_every_operation_says_what_it_does_and_how_it_is_refused() -> None:
    for path, operation in operations():
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


VERBS = {
    *("Accept", "Add", "Cancel", "Change", "Check", "Compare", "Create", "Delete", "Download"),
    *(
        "Estimate",
        "Export",
        "Follow",
        "Get",
        "List",
        "Measure",
        "Pause",
        "Rename",
        "Resume",
        "Retry",
    ),
    *("Revoke", "Rotate", "Run", "Send", "Skip", "Store", "Tag", "Import", "Clear", "Test"),
}


def test_every_summary_is_a_short_imperative_phrase() -> None:
    for path, operation in operations():
        summary = operation["summary"]
        assert summary.split()[0] in VERBS, (path, summary)
        assert len(summary) <= 60, (path, summary)
        assert not summary.endswith((".", "?")), (path, summary)


def test_operation_ids_are_names() -> None:
    ids = [operation["operationId"] for _, operation in operations()]
    assert len(set(ids)) == len(ids)
    assert all(name.isidentifier() for name in ids)


@pytest.mark.parametrize("page", ["/docs", "/redoc"])
async def test_the_pages_to_read_it_on_need_no_internet(sqlite_service: Service, page: str) -> None:
    text = (await sqlite_service.client.get(page)).text
    taken = re.findall(r"""(?:src|href|url:) ?=?["']([^"']+)["']""", text.replace("url: ", "url:"))
    assert len(taken) >= 2
    for address in taken:
        assert address.startswith("/"), address
        assert (await sqlite_service.client.get(address)).status_code == 200
