"""The time that expired rows have waited, for scrapes."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from api.overdue_rows import OverdueRows
from core import clock
from core.db.database import Database
from core.queries import expired_rows
from core.retention import RetentionDays
from tests.activities.retention.ages import traces_from
from tests.conftest import make_project


async def test_scrapes_read_the_time_at_most_once_a_minute(sqlite: Database) -> None:
    project_id = await make_project(sqlite)
    await traces_from(sqlite, project_id, 1, clock.now() - timedelta(days=2))
    overdue = OverdueRows(sqlite, RetentionDays(traces=1))
    first = await overdue.seconds()
    assert first["traces"] == pytest.approx(24 * 3600, abs=60)
    await traces_from(sqlite, project_id, 1, clock.now() - timedelta(days=9))
    assert await overdue.seconds() == first


async def test_a_scrape_succeeds_without_the_database(
    sqlite: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: Any) -> None:
        raise OperationalError("", {}, Exception())

    monkeypatch.setattr(expired_rows, "overdue", fail)
    assert await OverdueRows(sqlite, RetentionDays(traces=1)).seconds() == {}
