"""The time that expired rows have waited, for scrapes."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy.exc import OperationalError

from api import overdue_rows
from api.overdue_rows import OverdueRows
from core import clock
from core.db.database import Database
from core.ids import ProjectId
from core.queries import expired_rows
from core.retention import RetentionDays
from tests.activities.retention.ages import set_columns, traces_from
from tests.conftest import make_project


async def test_scrapes_read_the_time_at_most_once_a_minute(sqlite: Database) -> None:
    project_id = await make_project(sqlite)
    await traces_from(sqlite, project_id, 1, clock.now() - timedelta(days=2))
    overdue = OverdueRows(sqlite, RetentionDays(traces=1))
    first = await overdue.seconds()
    assert first["traces"] == pytest.approx(24 * 3600, abs=60)
    await traces_from(sqlite, project_id, 1, clock.now() - timedelta(days=9))
    assert await overdue.seconds() == first


async def test_each_read_looks_at_some_projects_and_a_round_at_all(
    sqlite: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expired_rows, "MAX_PROJECTS_READ", 2)
    monkeypatch.setattr(overdue_rows, "KEPT_SECONDS", 0.0)
    in_order = sorted([await make_project(sqlite, f"project {n}") for n in range(5)])
    late_by: dict[ProjectId, list[UUID]] = {}
    for days, project_id in enumerate(in_order, start=1):
        age = timedelta(days=1 + days)
        late_by[project_id] = await traces_from(sqlite, project_id, 1, clock.now() - age)
    overdue = OverdueRows(sqlite, RetentionDays(traces=1))

    async def days_late() -> int:
        return round((await overdue.seconds())["traces"] / (24 * 3600))

    assert [await days_late() for _ in range(3)] == [2, 4, 5]
    # The longest wait of the last round stays known until the next round is over.
    await set_columns(sqlite, "trace", late_by[in_order[-1]], ingested_at=clock.now())
    assert [await days_late() for _ in range(3)] == [5, 5, 4]
    await set_columns(sqlite, "project", in_order, retention_traces_days=0)
    assert [await days_late() for _ in range(2)] == [4, 4]
    assert await overdue.seconds() == {}


async def test_a_scrape_succeeds_without_the_database(
    sqlite: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: Any, **__: Any) -> None:
        raise OperationalError("", {}, Exception())

    monkeypatch.setattr(expired_rows, "overdue", fail)
    assert await OverdueRows(sqlite, RetentionDays(traces=1)).seconds() == {}
