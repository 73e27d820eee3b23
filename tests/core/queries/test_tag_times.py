"""Each tag row has the start of its trace, after any order of writes."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select

from core.db import totals
from core.db.database import Database
from core.db.tables import metadata
from core.filters import TraceFilters, TraceListFilters
from core.ids import ProjectId
from core.queries import trace_edits, trace_reads, trace_writes
from core.queries.trace_reads import Listing
from core.trace_input import SpanDerivedTrace, TraceBody, TraceChanges
from tests.conftest import make_project
from tests.factories import START, span_body, store_traces, trace_body

TAG = metadata.tables["trace_tag"]
LATER = START + timedelta(minutes=5)


async def store(database: Database, project_id: ProjectId, *bodies: TraceBody) -> None:
    async with database.write() as db:
        await trace_writes.store_all(db, [(project_id, body) for body in bodies])


def body_of(**overrides: Any) -> TraceBody:
    return TraceBody.model_validate(trace_body(**overrides))


async def times(database: Database, trace_id: UUID) -> dict[str, datetime]:
    async with database.read() as db:
        found = await db.execute(
            select(TAG.c.tag, TAG.c.started_at).where(TAG.c.trace_id == trace_id)
        )
    return {row.tag: row.started_at for row in found}


async def test_tags_of_new_traces_have_their_time(
    database: Database, project_id: ProjectId
) -> None:
    early, late = body_of(tags=["a", "b"]), body_of(tags=["a"], started_at=LATER.isoformat())
    await store(database, project_id, early, late)
    assert await times(database, early.trace_id) == {"a": START, "b": START}
    assert await times(database, late.trace_id) == {"a": LATER}


@pytest.mark.parametrize("at_once", [True, False])
async def test_a_merge_that_moves_the_start_moves_it_for_old_and_new_tags(
    database: Database, project_id: ProjectId, at_once: bool
) -> None:
    first, beside = body_of(tags=["old"]), body_of(tags=["old"])
    again = body_of(trace_id=str(first.trace_id), tags=["new"], started_at=LATER.isoformat())
    if at_once:
        await store(database, project_id, first, beside, again)
    else:
        await store(database, project_id, first, beside)
        await store(database, project_id, again)
    assert await times(database, first.trace_id) == {"old": LATER, "new": LATER}
    assert await times(database, beside.trace_id) == {"old": START}


async def test_a_merge_moves_no_tag_of_the_same_trace_in_another_project(
    database: Database,
) -> None:
    here, there = await make_project(database, "here"), await make_project(database, "there")
    first = body_of(tags=["theirs"])
    await store(database, there, first)
    await store(database, here, first.model_copy(update={"tags": ["mine"]}))
    await store(database, here, body_of(trace_id=str(first.trace_id), started_at=LATER.isoformat()))
    assert await times(database, first.trace_id) == {"theirs": START, "mine": LATER}


async def test_a_span_that_began_earlier_moves_the_start_of_its_trace_and_its_tags(
    database: Database, project_id: ProjectId
) -> None:
    late, early = span_body(started_at=LATER.isoformat()), span_body()

    def observed(span: dict[str, Any]) -> SpanDerivedTrace:
        return SpanDerivedTrace.model_validate(
            trace_body(trace_id=str(first), started_at=span["started_at"], spans=[span])
        )

    first = body_of().trace_id
    await store(database, project_id, observed(late))
    async with database.write() as db:
        await trace_edits.retag(db, project_id, [first], add=["seen"], remove=[])
    assert await times(database, first) == {"seen": LATER}
    await store(database, project_id, observed(early))
    assert await times(database, first) == {"seen": START}


async def test_tags_that_are_replaced_or_added_later_have_the_time_of_their_trace(
    database: Database, project_id: ProjectId
) -> None:
    first, second = await store_traces(database, project_id, 2, tags=["old"])
    async with database.write() as db:
        changes = TraceChanges(tags=["new"])
        await trace_edits.change_trace(db, project_id, first, changes)
        await trace_edits.retag(db, project_id, [first, second], add=["more"], remove=["old"])
    assert await times(database, first) == {"new": START, "more": START}
    assert await times(database, second) == {"more": START + timedelta(seconds=1)}


@pytest.mark.parametrize("large", [False, True])
async def test_tagged_traces_of_a_period_are_found_by_the_time_they_were_moved_to(
    database: Database, project_id: ProjectId, monkeypatch: pytest.MonkeyPatch, large: bool
) -> None:
    if large:
        monkeypatch.setattr(totals, "LARGE_TOTAL", 0)
    ids = await store_traces(database, project_id, 4, tags=["x"])
    await store_traces(database, project_id, 4, tags=["z"])
    both = body_of(tags=["x", "y"], started_at=(START + timedelta(seconds=4)).isoformat())
    moved = body_of(trace_id=str(ids[1]), started_at=LATER.isoformat())
    await store(database, project_id, both, moved)
    ids.append(both.trace_id)

    async def listed(tags: list[str], after: int, before: int) -> tuple[list[int], int]:
        since, until = (START + timedelta(seconds=s) for s in (after, before))
        asked = TraceListFilters(tags=tags, started_after=since, started_before=until)
        async with database.read() as db:
            found, total = await trace_reads.page(db, project_id, asked, Listing(limit=2))
            run = TraceFilters(tags=tags, date_from=since, date_to=until)
            matching = list(await db.scalars(trace_reads.matching_ids(project_id, run)))
            assert len(matching) == total
        return [ids.index(stored.row.id) for stored in found], total

    assert await listed(["x"], 0, 301) == ([1, 4], 5)
    assert await listed(["x"], 0, 300) == ([4, 3], 4)
    assert await listed(["x"], 1, 4) == ([3, 2], 2)
    assert await listed(["x", "y"], 2, 5) == ([4, 3], 3)
    assert await listed(["y"], 0, 4) == ([], 0)
