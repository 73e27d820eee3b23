"""Query plans of lists in SQLite, which has no statistics to choose an index."""

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import event

from core.db import totals
from core.db.database import Database, Reader
from core.db.paging import Page
from core.filters import SessionListFilters, TraceListFilters, TraceScoreFilters
from core.ids import ProjectId, ScoreStatus, TraceStatus
from core.queries import quotas, score_reads, session_reads, trace_reads
from core.queries.session_listing import SessionSortKey
from core.queries.trace_reads import Listing
from tests.conftest import make_project
from tests.factories import START, store_traces

ALL_OF_A_PROJECT = ("(project_id=?)", "(project_id=? AND target_type=?)")


async def steps(
    database: Database, project_id: ProjectId, filters: Any, table: str, *, statistics: bool
) -> list[str]:
    """The plan of each query behind a list."""
    await store_traces(database, project_id, 3, tags=["x", "y"], session_id="s", user_id="u")
    if statistics:
        async with database.write() as writer:
            # Statistics of some tables only, as after a table was rebuilt.
            await (await writer.connection()).exec_driver_sql("ANALYZE trace")
    return await steps_of(database, lambda db: listed(db, project_id, filters), table)


async def steps_of(
    database: Database, read: Callable[[Reader], Awaitable[object]], table: str
) -> list[str]:
    ran: list[tuple[str, Any]] = []

    def note(*call: Any) -> None:
        ran.append((call[2], call[3]))

    event.listen(database.engine.sync_engine, "before_cursor_execute", note)
    async with database.read() as db:
        await read(db)
    event.remove(database.engine.sync_engine, "before_cursor_execute", note)
    found = []
    async with database.engine.connect() as connection:
        for statement, parameters in [one for one in ran if one[0].startswith("SELECT")]:
            plan = await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
            found += [row.detail for row in plan if f" {table}" in row.detail]
    return found


async def listed(db: Reader, project_id: ProjectId, filters: Any) -> None:
    if isinstance(filters, TraceListFilters):
        await trace_reads.page(db, project_id, filters, Listing())
    elif isinstance(filters, SessionListFilters):
        await session_reads.page(db, project_id, filters, Page(), (SessionSortKey.RECENT, True))
    else:
        await score_reads.page(db, project_id, filters, Page())


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("statistics", [False, True])
@pytest.mark.parametrize(
    "filters",
    [
        TraceListFilters(tags=["x"]),
        TraceListFilters(tags=["x"], started_after=START),
        TraceListFilters(tags=["x", "y"], started_after=START),
        TraceListFilters(tags=["x"], user_id="u"),
        TraceListFilters(tags=["x"], session_id="s"),
        TraceListFilters(tags=["x"], status=TraceStatus.COMPLETED),
        SessionListFilters(),
        SessionListFilters(tags=["x", "y"]),
        SessionListFilters(user_id="u"),
    ],
    ids=str,
)
async def test_no_list_looks_through_all_tags_of_a_project(
    sqlite: Database,
    monkeypatch: pytest.MonkeyPatch,
    filters: TraceListFilters | SessionListFilters,
    large: bool,
    statistics: bool,
) -> None:
    if large:
        monkeypatch.setattr(totals, "LARGE_TOTAL", 0)
    project_id = await make_project(sqlite)
    found = await steps(sqlite, project_id, filters, "trace_tag", statistics=statistics)
    assert found
    assert [step for step in found if step.endswith(ALL_OF_A_PROJECT)] == []


@pytest.mark.parametrize("status", [None, ScoreStatus.FAILED])
async def test_a_list_of_a_runs_scores_looks_through_no_others(
    sqlite: Database, status: ScoreStatus | None
) -> None:
    filters = TraceScoreFilters(eval_run_id=uuid4(), status=status, name="quality")
    found = await steps(sqlite, await make_project(sqlite), filters, "score", statistics=False)
    assert len(found) == 2
    assert all("eval_run_id=?" in step for step in found)


async def test_quotas_look_through_no_ended_or_old_runs(sqlite: Database) -> None:
    project_id = await make_project(sqlite)
    found = await steps_of(
        sqlite, lambda db: quotas.unfinished_runs(db, project_id, at_most=9), "eval_run"
    )
    assert sorted(step.split()[4] for step in found) == ["ix_eval_run_open", "ix_eval_run_waiting"]
    [step] = await steps_of(sqlite, lambda db: quotas.pairs_of_a_day(db, project_id), "eval_run")
    assert "created_at>?" in step
