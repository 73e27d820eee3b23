"""Sign-in, and the rights of the signed-in key."""

import httpx

from core.db.paging import Page
from core.ids import Scope
from core.queries import api_keys, audit, dashboard_sessions
from tests.api.conftest import Service
from tests.api.dashboard.conftest import Browser, browser, sign_in
from tests.factories import trace_body


async def test_the_root_leads_to_the_dashboard(sqlite_service: Service) -> None:
    async with browser(sqlite_service) as one:
        answer = await one.client.get("/")
    assert answer.status_code == 302
    assert answer.headers["location"] == "/ui"


async def test_a_page_leads_who_is_not_signed_in_to_the_form_and_back(
    sqlite_service: Service,
) -> None:
    key = await sqlite_service.key(scope=Scope.READ, project_id=sqlite_service.project_id)
    async with browser(sqlite_service) as one:
        answer = await one.get("/runs?status=failed")
        assert answer.status_code == 303
        form = answer.headers["location"]
        signed_in = await one.post(
            "/ui/sign-in", from_page=form, key=key, next="/ui/default/runs?status=failed"
        )
        assert "/ui/default/runs?status=failed" in signed_in.text
        assert (await one.get("/runs?status=failed")).status_code == 200


async def test_the_cookie_is_kept_from_scripts_and_other_sites(service: Service) -> None:
    key = await service.key(project_id=service.project_id)
    async with browser(service) as one:
        answer = await sign_in(one, key)
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert "Secure" not in cookie
    assert key not in cookie


async def test_the_cookie_is_secure_behind_tls(sqlite_service: Service) -> None:
    key = await sqlite_service.key(project_id=sqlite_service.project_id)
    transport = httpx.ASGITransport(sqlite_service.app)
    async with httpx.AsyncClient(transport=transport, base_url="https://assay") as client:
        answer = await sign_in(Browser(client), key)
    assert "Secure" in answer.headers["set-cookie"]


async def test_a_wrong_key_is_refused_in_words(sqlite_service: Service) -> None:
    async with browser(sqlite_service) as one:
        answer = await sign_in(one, "assay_wrong")
    assert answer.status_code == 403
    assert "unknown, revoked or expired" in answer.text
    assert "assay_session" not in answer.headers.get("set-cookie", "")


async def test_no_form_leads_to_another_site(sqlite_service: Service) -> None:
    key = await sqlite_service.key(project_id=sqlite_service.project_id)
    for address in ("https://example.org/ui", "//example.org", "/ui/\\example.org", "/uix"):
        async with browser(sqlite_service) as one:
            answer = await one.post("/ui/sign-in", from_page="/ui/sign-in", key=key, next=address)
        assert "example.org" not in answer.text
        assert "/uix" not in answer.text


async def test_a_link_signs_in_once(service: Service) -> None:
    async with service.database.write() as db:
        row, _ = await api_keys.create(
            db, api_keys.NewKey("up", scope=Scope.ADMIN, project_id=service.project_id)
        )
        link = await dashboard_sessions.make_link(db, row.id)
    async with browser(service) as first, browser(service) as second:
        assert (await first.get(f"/ui/sign-in?link={link}")).status_code == 200
        assert (await first.get("")).status_code == 200
        used = await second.get(f"/ui/sign-in?link={link}")
        assert used.status_code == 403
        assert "used before" in used.text


async def test_a_link_is_no_session(sqlite_service: Service) -> None:
    async with sqlite_service.database.write() as db:
        row, _ = await api_keys.create(db, api_keys.NewKey("up"))
        link = await dashboard_sessions.make_link(db, row.id)
    async with browser(sqlite_service) as one:
        one.client.cookies.set("assay_session", link)
        assert (await one.get("/runs")).status_code == 303


async def test_a_revoked_key_ends_its_sessions(service: Service) -> None:
    async with service.database.write() as db:
        row, text = await api_keys.create(
            db, api_keys.NewKey("soon gone", project_id=service.project_id)
        )
    async with browser(service) as one:
        await sign_in(one, text)
        assert (await one.get("/runs")).status_code == 200
        async with service.database.write() as db:
            await api_keys.revoke(db, row.id)
        assert (await one.get("/runs")).status_code == 303


async def test_signing_out_ends_the_session_itself(writer: Browser) -> None:
    cookie = writer.client.cookies["assay_session"]
    answer = await writer.post("/ui/sign-out", from_page="/runs")
    assert answer.headers["location"] == "/ui/sign-in"
    writer.client.cookies.set("assay_session", cookie)
    assert (await writer.get("/runs")).status_code == 303


async def test_another_projects_pages_do_not_exist(service: Service, writer: Browser) -> None:
    key = await service.key(scope=Scope.WRITE)
    headers = {"X-API-Key": key, "X-Project-Name": "other"}
    await service.client.get("/traces", headers=headers)
    assert (await writer.get("/ui/other")).status_code == 404
    assert (await writer.get("/ui/no-such-project")).status_code == 404


async def test_a_form_without_its_token_changes_nothing(writer: Browser) -> None:
    for token in ("", "x", "salt.wrong"):
        answer = await writer.client.post("/ui/sign-out", data={"csrf": token})
        assert answer.status_code == 403
    assert (await writer.get("/runs")).status_code == 200


async def test_a_token_of_another_session_is_refused(service: Service, writer: Browser) -> None:
    async with browser(service) as other:
        await sign_in(other, await service.key(project_id=service.project_id))
        page = (await other.get("/runs")).text
    token = page.split('name="csrf" value="')[1].split('"')[0]
    answer = await writer.client.post("/ui/sign-out", data={"csrf": token})
    assert answer.status_code == 403


async def test_a_read_key_sees_no_button_that_writes(reader: Browser, writer: Browser) -> None:
    assert "New run" in (await writer.get("/runs")).text
    assert "New run" not in (await reader.get("/runs")).text


async def test_a_key_that_may_name_any_project_begins_at_home_and_opens_others(
    service: Service,
) -> None:
    key = await service.key(scope=Scope.WRITE, project_id=service.project_id, any_project=True)
    headers = {"X-API-Key": key, "X-Project-Name": "other"}
    await service.client.post("/traces", headers=headers, json=trace_body())
    async with browser(service) as one:
        await sign_in(one, key)
        assert (await one.get("/ui")).headers["location"] == "/ui/default"
        choice = (await one.get("/ui?choose=1")).text
        assert "/ui/default" in choice
        assert "/ui/other" in choice
        assert (await one.get("/ui/other/traces")).status_code == 200


async def test_what_a_browser_changes_is_in_the_audit_log(
    service: Service, writer: Browser
) -> None:
    await service.post_trace()
    refused = await writer.post("/runs/new", from_page="/runs/new", metric="no_such_metric")
    assert refused.status_code == 422
    made = await writer.post("/runs/new", from_page="/runs/new", metric="task_completion")
    run = made.headers["location"].rpartition("/")[2]
    await writer.post(f"/runs/{run}/delete", from_page=f"/runs/{run}/delete")
    async with service.database.read() as db:
        entries, _ = await audit.page(db, Page(10), project_id=service.project_id)
    actions = [(entry.action, entry.target) for entry in entries if "dashboard" in entry.action]
    assert sorted(actions, key=str) == [("dashboard:delete", run), ("dashboard:start", None)]
