"""Deletion of old entries of the audit log."""

from datetime import timedelta

from core import clock
from core.db.database import Database
from core.db.paging import Page
from core.db.tables import AuditEntry
from core.queries import audit
from core.queries.audit import Action
from workflows.maintenance import audit_log


async def test_entries_are_deleted_once_they_are_old_enough(database: Database) -> None:
    async with database.write() as db:
        for days in (400, 366, 364):
            await audit.record(db, Action(action=f"{days} days old"))
        rows = (await audit.page(db, Page(), project_id=None))[0]
        for row in rows:
            row.created_at = clock.now() - timedelta(days=int(row.action.split()[0]))
    async with database.write() as db:
        assert await audit.prune(db, older_than_days=365, limit=1) == 1
    await audit_log.prune(database, 365)
    async with database.read() as db:
        left: list[AuditEntry] = (await audit.page(db, Page(), project_id=None))[0]
    assert [row.action for row in left] == ["364 days old"]
