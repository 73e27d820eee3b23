"""Storing, merging, finding and reading traces, on every database."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select

from core.db import totals
from core.db.database import Database
from core.db.tables import metadata
from core.errors import NotFound
from core.filters import TraceFilters, TraceListFilters
from core.ids import ProjectId, SpanKind, TraceStatus
from core.queries import trace_loading, trace_reads
from core.queries.trace_reads import Listing, StoredTrace, TraceSortKey
from core.trace_input import TraceBody
from tests import factories
from tests.conftest import make_project
from tests.factories import START, span_body, trace_body


async def store(database: Database, project_id: ProjectId, **overrides: Any) -> UUID:
    async with database.write() as db:
        return await factories.store(
            db, project_id, TraceBody.model_validate(trace_body(**overrides))
        )


async def get(database: Database, project_id: ProjectId, trace_id: UUID) -> StoredTrace:
    async with database.read() as db:
        return await trace_reads.get(db, project_id, trace_id)


def span(stored: StoredTrace, name: str) -> Any:
    return next(row for row in stored.spans if row.name == name)


async def matches(database: Database, project_id: ProjectId, **filters: Any) -> list[UUID]:
    wanted = TraceFilters.model_validate(filters)
    async with database.read() as db:
        found = list(await db.scalars(trace_reads.matching_ids(project_id, wanted)))
        assert await trace_reads.any_match(db, project_id, wanted) is bool(found)
    return found


async def test_a_stored_trace_reads_back_whole(database: Database, project_id: ProjectId) -> None:
    usage = {"prompt_tokens": 3, "completion_tokens": 4, "details": {"cached": 1}}
    call = span_body(name="call", kind="LLM", token_usage=usage, cost=0.5, model="m", output=[1])
    trace_id = await store(
        database, project_id, tags=["b", "a", "b"], metadata={"z": 1, "a": None}, spans=[call]
    )
    stored = await get(database, project_id, trace_id)
    assert stored.row.name == "support-agent"
    assert stored.row.started_at == START
    assert list(stored.row.metadata.items()) == [("z", 1), ("a", None)]
    assert (stored.row.latency_ms, stored.row.span_count) == (3000, 1)
    assert (stored.row.total_tokens, stored.row.total_cost) == (7, 0.5)
    assert stored.tags == ["a", "b"]
    assert span(stored, "call").token_usage == usage
    assert span(stored, "call").output == [1]


async def test_a_trace_that_comes_again_is_merged(
    database: Database, project_id: ProjectId
) -> None:
    first, second = span_body(name="first", cost=1, output="kept"), span_body(name="second")
    trace_id = await store(
        database,
        project_id,
        status="RUNNING",
        ended_at=None,
        metadata={"kept": 1, "replaced": {"a": 1}},
        tags=["old"],
        spans=[first, second],
    )
    again = dict(trace_body(), trace_id=str(trace_id), metadata={"replaced": {"b": 2}})
    again |= {"tags": ["new"], "output": None, "user_id": "u"}
    ended = (START + timedelta(seconds=9)).isoformat()
    changed = dict(first, output=None, error="late", ended_at=ended, metadata={"m": 1})
    again["spans"] = [changed, span_body(name="third", cost={"input": 2, "output": 3})]
    async with database.write() as db:
        await factories.store(db, project_id, TraceBody.model_validate(again))

    stored = await get(database, project_id, trace_id)
    assert stored.row.status == "RUNNING", "a default replaces nothing"
    assert stored.row.output == trace_body()["output"], "null replaces nothing"
    assert stored.row.user_id == "u"
    assert stored.row.latency_ms == 3000
    assert stored.row.metadata == {"kept": 1, "replaced": {"b": 2}}
    assert stored.tags == ["new", "old"]
    assert {row.name for row in stored.spans} == {"first", "second", "third"}
    assert (span(stored, "first").output, span(stored, "first").error) == ("kept", "late")
    assert span(stored, "first").metadata == {"m": 1}
    assert (stored.row.span_count, stored.row.total_cost) == (3, 6)
    assert stored.row.updated_at > stored.row.ingested_at


async def test_a_span_twice_in_one_body_is_merged(
    database: Database, project_id: ProjectId
) -> None:
    step = span_body(name="step", input="question")
    trace_id = await store(database, project_id, spans=[step, dict(step, input=None, output="x")])
    stored = await get(database, project_id, trace_id)
    assert [(row.input, row.output) for row in stored.spans] == [("question", "x")]


async def test_the_same_id_in_another_project_is_another_trace(database: Database) -> None:
    here, there = await make_project(database, "here"), await make_project(database, "there")
    trace_id = await store(database, here, name="mine")
    await store(database, there, trace_id=str(trace_id), name="theirs")
    assert (await get(database, here, trace_id)).row.name == "mine"
    assert (await get(database, there, trace_id)).row.name == "theirs"


async def test_a_trace_of_another_project_is_not_found(database: Database) -> None:
    here, there = await make_project(database, "here"), await make_project(database, "there")
    trace_id = await store(database, there)
    with pytest.raises(NotFound, match=f"No trace {trace_id}"):
        await get(database, here, trace_id)
    assert await matches(database, here) == []
    async with database.read() as db:
        assert await trace_loading.load(db, here, [trace_id]) == {}
        assert await trace_reads.unknown_ids(db, here, [trace_id]) == [trace_id]


async def test_what_metrics_see_is_ordered_by_start_and_typed(
    database: Database, project_id: ProjectId
) -> None:
    late = span_body(name="late", started_at=(START + timedelta(seconds=2)).isoformat())
    early = span_body(name="early", kind="TOOL", input={"a": [1]}, metadata={"k": "v"})
    trace_id = await store(database, project_id, spans=[late, early], environment="test")
    async with database.read() as db:
        trace = (await trace_loading.load(db, project_id, [trace_id]))[trace_id]
    assert (trace.id, trace.status, trace.environment) == (trace_id, TraceStatus.COMPLETED, "test")
    assert [span.name for span in trace.spans] == ["early", "late"]
    assert trace.spans[0].kind is SpanKind.TOOL
    assert trace.spans[0].input == {"a": [1]}
    assert trace.spans[0].metadata == {"k": "v"}
    assert trace == type(trace).model_validate(trace.model_dump())


async def test_traces_are_loaded_together_each_with_its_own_spans(
    database: Database, project_id: ProjectId
) -> None:
    one = await store(database, project_id, name="one", spans=[span_body(name="a")])
    two = await store(
        database, project_id, name="two", spans=[span_body(name="b"), span_body(name="c")]
    )
    bare = await store(database, project_id, name="bare", spans=[])
    async with database.read() as db:
        found = await trace_loading.load(db, project_id, [two, uuid4(), one, bare])
    seen = {
        trace_id: (trace.name, sorted(span.name for span in trace.spans))
        for trace_id, trace in found.items()
    }
    assert seen == {one: ("one", ["a"]), two: ("two", ["b", "c"]), bare: ("bare", [])}


async def test_unknown_ids_are_listed_in_the_order_given(
    database: Database, project_id: ProjectId
) -> None:
    known, unknown = await store(database, project_id), [uuid4(), uuid4()]
    many = [uuid4() for _ in range(9_997)]
    async with database.read() as db:
        found = await trace_reads.unknown_ids(
            db, project_id, [unknown[0], known, unknown[1], *many]
        )
    assert found == unknown + many


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, [0, 1, 2]),
        ({"date_from": START.isoformat()}, [0, 1, 2]),
        ({"date_from": (START + timedelta(seconds=1)).isoformat()}, [1, 2]),
        ({"date_to": (START + timedelta(seconds=1)).isoformat()}, [0]),
        ({"date_from": "2026-09-01T11:00:01+02:00"}, [1, 2]),
        ({"status": "ERROR"}, [1]),
        ({"session_id": "s"}, [0, 2]),
        ({"session_id": "S"}, []),
        ({"user_id": "u"}, [2]),
        ({"tags": ["x", "y"]}, [0, 1]),
        ({"tags": ["y", "none"]}, [1]),
        ({"tags": []}, [0, 1, 2]),
        ({"name": "100%"}, [1]),
        ({"name": "A_B"}, [2]),
        ({"name": "ÉTÉ"}, [2]),
        ({"name": "/"}, []),
        ({"tags": ["x"], "status": "ERROR"}, []),
    ],
)
async def test_filters_find_what_they_say_oldest_first(
    database: Database, project_id: ProjectId, filters: dict[str, Any], expected: list[int]
) -> None:
    ids = [
        await store(database, project_id, name="1000", session_id="s", tags=["x"]),
        await store(
            database,
            project_id,
            name="is 100% sure",
            status="ERROR",
            started_at=(START + timedelta(seconds=1)).isoformat(),
            tags=["y"],
        ),
        await store(
            database,
            project_id,
            name="a_b l'été",
            session_id="s",
            user_id="u",
            started_at=(START + timedelta(seconds=2)).isoformat(),
        ),
    ]
    assert await matches(database, project_id, **filters) == [ids[n] for n in expected]


@pytest.mark.parametrize("key", list(TraceSortKey))
@pytest.mark.parametrize("descending", [True, False])
async def test_a_list_is_in_a_total_order_with_open_ends_last(
    database: Database, project_id: ProjectId, key: TraceSortKey, descending: bool
) -> None:
    for second in (0, 1, 2, 2):
        start = START + timedelta(seconds=second)
        end = None if second == 1 else start + timedelta(seconds=10 - 3 * second)
        await store(
            database,
            project_id,
            name=f"n{second}",
            started_at=start.isoformat(),
            ended_at=end and end.isoformat(),
            status="ERROR" if second == 1 else "COMPLETED",
        )
    pages = []
    async with database.read() as db:
        for offset in range(4):
            listing = Listing(limit=1, offset=offset, sort_by=key, descending=descending)
            found, total = await trace_reads.page(db, project_id, TraceListFilters(), listing)
            assert total == 4
            pages += [stored.row for stored in found]
    column = {"latency": "latency_ms"}.get(key, key.value)
    held = [row for row in pages if getattr(row, column) is not None]
    assert held == pages[: len(held)]
    keys = [(getattr(row, column), row.id) for row in held]
    assert keys == sorted(keys, reverse=descending)
    assert len({row.id for row in pages}) == 4


async def test_many_tagged_traces_are_found_in_the_same_order_by_look_ups(
    database: Database, project_id: ProjectId, monkeypatch: pytest.MonkeyPatch
) -> None:
    for tags in (["x"], ["y"], ["x", "y"], [], ["z"], ["x"]):
        await store(database, project_id, tags=tags, status="ERROR" if tags else "COMPLETED")

    async def listed() -> list[tuple[list[UUID], int]]:
        found = []
        async with database.read() as db:
            for tags in (["x"], ["x", "y"], ["none"], []):
                asked = TraceListFilters(tags=tags, status=TraceStatus.ERROR)
                rows, total = await trace_reads.page(
                    db, project_id, asked, Listing(limit=2, offset=1)
                )
                found.append(([stored.row.id for stored in rows], total))
        return found

    few = await listed()
    assert [total for _, total in few] == [3, 4, 0, 5]
    monkeypatch.setattr(totals, "LARGE_TOTAL", 0)
    assert await listed() == few


async def test_a_list_leaves_content_unread(database: Database, project_id: ProjectId) -> None:
    await store(database, project_id, tags=["t"])
    async with database.read() as db:
        found, _ = await trace_reads.page(db, project_id, TraceListFilters(), Listing())
    assert found[0].tags == ["t"]
    assert not {"input", "output", "metadata"} & set(found[0].row._mapping)


async def test_storing_a_large_trace_takes_few_statements(
    database: Database, project_id: ProjectId
) -> None:
    trace_id = await store(database, project_id, spans=[span_body() for _ in range(500)])
    async with database.read() as db:
        spans = metadata.tables["span"]
        held = await db.execute(select(spans.c.id).where(spans.c.trace_id == trace_id))
    assert len(held.all()) == 500


async def test_moments_keep_their_microseconds_in_utc(
    database: Database, project_id: ProjectId
) -> None:
    trace_id = await store(
        database, project_id, started_at="2026-09-01T11:00:00.123456+02:00", ended_at=None
    )
    row = (await get(database, project_id, trace_id)).row
    assert row.started_at == datetime(2026, 9, 1, 9, 0, 0, 123456, tzinfo=UTC)
    assert row.latency_ms is None
