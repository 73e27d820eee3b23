"""API keys on the page of settings."""

import re

from core.ids import Scope
from core.queries import projects
from tests.api.conftest import Service
from tests.api.dashboard.conftest import Browser, browser, sign_in


async def test_a_new_key_is_shown_once_and_can_be_revoked(service: Service) -> None:
    admin = await service.key(scope=Scope.ADMIN, project_id=service.project_id)
    async with browser(service) as one, browser(service) as other:
        await sign_in(one, admin)
        answer = await one.post(
            "/settings/keys", from_page="/settings", name="for CI", scope="write", days="30"
        )
        found = re.search(r"assay_[\w-]{40,}", answer.text)
        assert found
        assert found[0] not in (await one.get("/settings")).text
        assert (await sign_in(other, found[0])).status_code == 200
        revoke = re.search(r"settings/keys/[0-9a-f-]{36}/revoke", answer.text)
        assert revoke
        rows = (await one.get("/settings")).text.split("<tr>")
        mine = next(row for row in rows if "for CI" in row)
        path = re.search(r"/settings/keys/[0-9a-f-]{36}/revoke", mine)
        assert path
        await one.post(path[0], from_page="/settings")
        assert (await other.get("/runs")).status_code == 303


async def test_keys_are_for_admins(writer: Browser) -> None:
    assert "API keys</h2>" not in (await writer.get("/settings")).text
    answer = await writer.post(
        "/settings/keys", from_page="/settings", name="x", scope="admin", days=""
    )
    assert answer.status_code == 403


async def test_the_page_of_settings_says_how_long_rows_are_kept(
    service: Service, writer: Browser
) -> None:
    async with service.database.write() as db:
        changes = {"retention_traces_days": 30, "retention_runs_days": 0}
        await projects.change(db, service.project_id, changes)
    page = (await writer.get("/settings")).text
    assert "traces 30 days, runs for ever, judgements for ever, usage for ever" in page
