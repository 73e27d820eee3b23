import random
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func
from sqlmodel import col, select

from core.db import totals
from core.db.database import Database
from core.db.paging import Page
from core.db.tables import Score, Span, Trace, TraceTag
from core.errors import NotFound
from core.filters import SessionListFilters
from core.ids import ProjectId, TargetType
from core.queries import (
    run_pairs,
    run_rows,
    session_reads,
    trace_reads,
    trace_writes,
)
from core.queries.session_listing import SessionSortKey
from core.trace_input import TraceBody
from tests.conftest import make_project
from tests.factories import START, new_run, new_score, span_body, store_traces, trace_body


async def listed(
    database: Database,
    project_id: ProjectId,
    order: tuple[SessionSortKey, bool] = (SessionSortKey.RECENT, True),
    page: Page = Page(),
    **filters: Any,
) -> tuple[list[str], int]:
    async with database.read() as db:
        found, total = await session_reads.page(
            db, project_id, SessionListFilters(**filters), page, order
        )
    return [stored.row.session_id for stored in found], total


async def test_a_session_sums_up_its_traces(database: Database, project_id: ProjectId) -> None:
    spans = [span_body(kind="LLM", token_usage={"total_tokens": 7}, cost={"total": 0.5})]
    await store_traces(
        database, project_id, 2, session_id="s", tags=["b", "a"], user_id="ada", spans=spans
    )
    await store_traces(
        database, project_id, 3, session_id="s", tags=["c"], user_id="grace", spans=[]
    )
    await store_traces(database, project_id, 1, session_id="s", status="ERROR")
    await store_traces(database, await make_project(database, "other"), 1, session_id="s")
    async with database.read() as db:
        stored = await session_reads.get(db, project_id, "s")
        ids = await trace_reads.ids_of_session(db, project_id, "s", Page(limit=4))
        oldest = await trace_reads.whole(db, project_id, ids)
    row = stored.row
    assert (row.trace_count, row.error_count, row.total_span_count) == (6, 1, 3)
    assert (row.total_tokens, row.total_cost, row.total_latency_ms) == (14, 1.0, 14_000)
    assert (row.last_trace_at - row.first_trace_at).total_seconds() == 3
    assert (stored.user_id, stored.tags) == ("grace", ["a", "b", "c"])
    assert len(oldest) == 4
    assert [t.row.started_at for t in oldest] == sorted(t.row.started_at for t in oldest)


@pytest.mark.parametrize(
    ("order", "found"),
    [
        ((SessionSortKey.TRACE_COUNT, True), ["three", "two", "one"]),
        ((SessionSortKey.TRACE_COUNT, False), ["one", "two", "three"]),
        ((SessionSortKey.RECENT, True), ["three", "two", "one"]),
        ((SessionSortKey.RECENT, False), ["one", "two", "three"]),
        # A session without an end has no latency and comes last in both orders.
        ((SessionSortKey.LATENCY, True), ["two", "one", "three"]),
        ((SessionSortKey.LATENCY, False), ["one", "two", "three"]),
        ((SessionSortKey.COST, False), ["one", "three", "two"]),
    ],
)
async def test_sessions_are_sorted_and_paged(
    database: Database, project_id: ProjectId, order: tuple[SessionSortKey, bool], found: list[str]
) -> None:
    await store_traces(database, project_id, 1, session_id="one")
    await store_traces(database, project_id, 2, session_id="two")
    await store_traces(database, project_id, 3, session_id="three", ended_at=None)
    assert await listed(database, project_id, order) == (found, 3)
    pages = [await listed(database, project_id, order, Page(1, n)) for n in range(4)]
    assert [ids for ids, _ in pages] == [*([target_id] for target_id in found), []]


async def test_a_list_shows_what_its_filters_ask_for(
    database: Database, project_id: ProjectId
) -> None:
    first = await store_traces(database, project_id, 2, session_id="100%_Ada")
    await store_traces(database, project_id, 1, session_id="100x Ada", status="ERROR")
    assert len(first) == 2
    assert await listed(database, project_id, query="%_a") == (["100%_Ada"], 1)
    assert await listed(database, project_id, has_error=True) == (["100x Ada"], 1)
    assert (await listed(database, project_id, started_after="2030-01-01"))[1] == 0
    assert (await listed(database, project_id, started_before="2030-01-01"))[1] == 2


@pytest.mark.slow
async def test_many_sessions_are_found_in_the_same_order_without_grouping_them(
    database: Database, project_id: ProjectId, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = random.Random(7)
    bodies = [
        trace_body(
            # Few moments and few sessions, so that many traces of a session share their start.
            started_at=(START + timedelta(seconds=at // 6)).isoformat(),
            session_id=chance.choice([None, *(f"s{n}" for n in range(15))]),
            user_id=chance.choice([None, "ada", "grace"]),
            status="ERROR" if at % 9 == 0 else "COMPLETED",
            tags=[chance.choice("abc")],
            spans=[],
        )
        for at in range(60)
    ]
    async with database.write() as db:
        await trace_writes.store_all(
            db, [(project_id, TraceBody.model_validate(body)) for body in bodies]
        )
    moment = START + timedelta(seconds=5)
    asked: list[dict[str, Any]] = [
        *({}, {"user_id": "ada"}, {"tags": ["a", "b"]}, {"query": "S1"}),
        *({"has_error": True}, {"has_error": False}),
        *({"started_after": moment}, {"started_before": moment}),
        {"user_id": "ada", "tags": ["a"], "has_error": False, "query": "s"},
    ]
    pages = [
        ((SessionSortKey.RECENT, descending), Page(4, first), filters)
        for filters in asked
        for descending in (True, False)
        for first in (0, 4)
    ]

    async def all_listed() -> list[tuple[list[str], int]]:
        return [await listed(database, project_id, at, page, **of) for at, page, of in pages]

    grouped = await all_listed()
    assert all(total > 0 for _, total in grouped)
    monkeypatch.setattr(totals, "LARGE_TOTAL", 0)
    assert await all_listed() == grouped


async def test_heads_join_without_gap_or_repeat(database: Database, project_id: ProjectId) -> None:
    stored = [
        target_id
        for _ in range(3)
        for target_id in await store_traces(database, project_id, 2, session_id="s")
    ]
    found: list[session_reads.SessionHead] = []
    async with database.read() as db:
        while page := await session_reads.heads(
            db, project_id, "s", after=found[-1] if found else None, limit=2
        ):
            found += page
    assert sorted(head.id for head in found) == sorted(stored)
    assert [(h.started_at, h.id) for h in found] == sorted((h.started_at, h.id) for h in found)


async def test_a_deleted_session_takes_everything_along_and_nothing_else(
    database: Database, project_id: ProjectId
) -> None:
    doomed = await store_traces(database, project_id, 2, session_id="s", tags=["t"])
    kept = await store_traces(database, project_id, 1, session_id="other", tags=["t"])
    run = new_run(project_id, target_type=TargetType.SESSION, metric_names=["agent_reliability"])
    async with database.write() as db:
        row = await run_rows.create(db, run)
        scores = [new_score(row, target) for target in ("s", "other")]
        scores += [
            new_score(row, str(target_id), target_type=TargetType.TRACE, metric="confidence")
            for target_id in (*doomed, *kept)
        ]
        await run_pairs.record(db, scores)
    async with database.write() as db:
        assert await session_reads.remove(db, project_id, "s") == 2
    async with database.read() as db:
        left = await db.scalars(select(col(Score.target_id)))
        assert set(left) == {"other", str(kept[0])}
        for table in (Trace, Span, TraceTag):
            assert await db.scalar(select(func.count()).select_from(table)) == 1
    with pytest.raises(NotFound):
        async with database.write() as db:
            await session_reads.remove(db, project_id, "s")


async def test_a_session_of_another_project_is_not_found(
    database: Database, project_id: ProjectId
) -> None:
    await store_traces(database, await make_project(database, "other"), 1, session_id="s")
    with pytest.raises(NotFound):
        async with database.read() as db:
            await session_reads.get(db, project_id, "s")
    with pytest.raises(NotFound):
        async with database.write() as db:
            await session_reads.remove(db, project_id, "s")
