"""Signed-in browsers, and links that sign a browser in once."""

from core.db.database import Database
from core.ids import Scope
from core.queries import api_keys, dashboard_sessions
from tests.conftest import make_project


async def test_signing_out_ends_the_session_of_one_browser_only(sqlite: Database) -> None:
    project_id = await make_project(sqlite)
    async with sqlite.write() as db:
        key = api_keys.NewKey("browser", scope=Scope.READ, project_id=project_id)
        row, _ = await api_keys.create(db, key)
        secrets = [await dashboard_sessions.open_session(db, row.id) for _ in range(8)]
        await dashboard_sessions.close_session(db, secrets[3])
        await dashboard_sessions.close_session(db, secrets[3])
    async with sqlite.read() as db:
        found = await dashboard_sessions.find(db, secrets)
    assert set(found) == set(secrets) - {secrets[3]}


async def test_a_link_signs_in_one_browser_once(sqlite: Database) -> None:
    project_id = await make_project(sqlite)
    async with sqlite.write() as db:
        key = api_keys.NewKey("browser", scope=Scope.READ, project_id=project_id)
        row, _ = await api_keys.create(db, key)
        links = [await dashboard_sessions.make_link(db, row.id) for _ in range(4)]
        secret = await dashboard_sessions.redeem_link(db, links[1])
        assert secret is not None
        assert await dashboard_sessions.redeem_link(db, links[1]) is None
        assert await dashboard_sessions.redeem_link(db, secret) is None
    async with sqlite.read() as db:
        found = await dashboard_sessions.find(db, [secret, links[0]])
    assert list(found) == [secret]
    assert (found[secret].key_id, found[secret].bound_to) == (row.id, project_id)
