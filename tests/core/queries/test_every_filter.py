"""Every field of every filter: lists, totals, both SQL forms and monitors agree."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Select, select
from sqlmodel import col

import core.filters
from core import clock
from core.db import predicates, totals
from core.db.database import Database
from core.db.paging import Page
from core.db.tables import Score, Trace, TraceTag
from core.filters import (
    Filters,
    ScoreFilters,
    SessionFilters,
    SessionListFilters,
    SessionScoreFilters,
    TraceFilters,
    TraceListFilters,
    TraceScoreFilters,
)
from core.ids import MonitorId, ProjectId, ScoreSource, ScoreStatus, ScoreType, TargetType
from core.queries import (
    monitor_matches,
    monitor_rows,
    run_rows,
    score_reads,
    session_reads,
    trace_reads,
)
from core.queries.session_listing import SessionSortKey
from core.queries.trace_reads import Listing
from core.trace_input import TraceBody
from tests.conftest import make_project
from tests.factories import START, monitor_settings, new_run, store, trace_body

LATER = START + timedelta(days=1)
BETWEEN = START + timedelta(hours=1)

TRACE_VALUES: dict[str, Any] = {
    "status": "ERROR",
    "session_id": "red",
    "user_id": "ada",
    "tags": ["x", "y"],
    "name": "CHECK",
}
VALUES: dict[type[Filters], dict[str, Any]] = {
    TraceFilters: TRACE_VALUES | {"date_from": BETWEEN, "date_to": BETWEEN},
    TraceListFilters: TRACE_VALUES | {"started_after": BETWEEN, "started_before": BETWEEN},
    SessionFilters: {
        "user_id": "ada",
        "has_error": True,
        "tags": ["x", "y"],
        "date_from": BETWEEN,
        "date_to": BETWEEN,
        "min_trace_count": 2,
    },
    SessionListFilters: {
        "user_id": "ada",
        "has_error": False,
        "tags": ["x"],
        "started_after": BETWEEN,
        "started_before": BETWEEN,
        "query": "RE",
    },
}
RUN = UUID(int=1)
TRACE = UUID(int=2)
SCORE_VALUES: dict[str, Any] = {
    "name": "coherence",
    "source": "ANNOTATION",
    "status": "FAILED",
    "data_type": "BOOLEAN",
    "eval_run_id": RUN,
    "date_from": BETWEEN,
    "date_to": BETWEEN,
}
VALUES |= {
    TraceScoreFilters: SCORE_VALUES | {"trace_id": TRACE, "environment": "prod"},
    SessionScoreFilters: SCORE_VALUES | {"session_id": str(TRACE)},
}


def cases(*kinds: type[Filters]) -> list[Any]:
    """One filter per field, and one per combination of tags with another field."""
    made = []
    for kind in kinds:
        for name in kind.model_fields:
            value = VALUES[kind].get(name)
            assert value is not None, f"give a value for the new filter {kind.__name__}.{name}"
            made.append(pytest.param(kind(**{name: value}), id=f"{kind.__name__}-{name}"))
            if "tags" in kind.model_fields and name != "tags":
                both = kind(**{name: value, "tags": ["x"]})
                made.append(pytest.param(both, id=f"{kind.__name__}-{name}-tags"))
    return made


def test_every_filter_class_has_values() -> None:
    declared = {
        kind
        for kind in vars(core.filters).values()
        if isinstance(kind, type) and issubclass(kind, Filters)
    }
    extended = {base for kind in declared for base in kind.__mro__[1:]}
    assert declared - extended == VALUES.keys()


@dataclass(frozen=True)
class Stored:
    database: Database
    project_id: ProjectId


@pytest.fixture(scope="module")
async def stored(shared_database_url: str) -> AsyncIterator[Stored]:
    """Everything that a filter can select, which no test changes."""
    database = Database(shared_database_url)
    project_id = await make_project(database)
    await store_traces(database, project_id)
    async with database.write() as db:
        await run_rows.create(db, new_run(project_id, run_id=RUN))
        await db.flush()
        for target_type in TargetType:
            db.add_all(scores(project_id, target_type))
    yield Stored(database, project_id)
    await database.close()


async def store_traces(database: Database, project_id: ProjectId) -> None:
    """Two traces with and two without each property that a filter can select."""
    bodies = [
        {"session_id": "red", "user_id": "ada", "tags": ["x"], "started_at": START},
        {"session_id": "red", "status": "ERROR", "tags": ["x", "y"], "started_at": LATER},
        {"session_id": "blue", "name": "checkout", "tags": ["x"], "started_at": LATER},
        {"session_id": "green", "user_id": "grace", "started_at": START},
        {"user_id": "ada", "status": "ERROR", "name": "check", "tags": ["x"], "started_at": LATER},
        {"status": "RUNNING", "started_at": START},
    ]
    other = await make_project(database, "other")
    async with database.write() as db:
        for project in (project_id, other):
            for body in bodies:
                started_at: Any = body["started_at"]
                fields = body | {"started_at": started_at.isoformat(), "ended_at": None}
                await store(db, project, TraceBody.model_validate(trace_body(**fields)))


async def ids(database: Database, query: Select[Any]) -> set[Any]:
    async with database.read() as db:
        return set(await db.scalars(query))


@pytest.mark.parametrize("filters", cases(TraceFilters, TraceListFilters))
async def test_filters_of_traces_agree(
    stored: Stored,
    filters: TraceFilters | TraceListFilters,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    database, project_id = stored.database, stored.project_id
    found = await ids(
        database, select(col(Trace.id)).where(*predicates.traces_where(filters, project_id))
    )
    assert 0 < len(found) < 6
    looked_up = predicates.traces_looked_up(filters, project_id)
    assert await ids(database, select(col(Trace.id)).where(*looked_up)) == found
    if predicates.needs_only_tags(filters):
        tagged = select(col(TraceTag.trace_id)).where(*predicates.tags_where(filters, project_id))
        assert await ids(database, tagged) == found
    if isinstance(filters, TraceListFilters):
        for large in (totals.LARGE_TOTAL, 0):
            monkeypatch.setattr(totals, "LARGE_TOTAL", large)
            async with database.read() as db:
                listed, total = await trace_reads.page(db, project_id, filters, Listing())
            assert ({one.row.id for one in listed}, total) == (found, len(found))
    else:
        await monitor_agrees(database, project_id, TargetType.TRACE, filters)


@pytest.mark.parametrize("filters", cases(SessionFilters, SessionListFilters))
async def test_filters_of_sessions_agree(
    stored: Stored,
    filters: SessionFilters | SessionListFilters,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    database, project_id = stored.database, stored.project_id
    found = await ids(database, predicates.session_ids(filters, project_id))
    assert 0 < len(found) < 3
    looked_up = predicates.sessions_looked_up(filters, project_id)
    assert await ids(database, select(col(Trace.session_id)).where(*looked_up)) == found
    if isinstance(filters, SessionListFilters):
        for large in (totals.LARGE_TOTAL, 0):
            monkeypatch.setattr(totals, "LARGE_TOTAL", large)
            async with database.read() as db:
                listed, total = await session_reads.page(
                    db, project_id, filters, Page(), (SessionSortKey.RECENT, True)
                )
            assert ({one.row.session_id for one in listed}, total) == (found, len(found))
    else:
        await monitor_agrees(database, project_id, TargetType.SESSION, filters)


async def monitor_agrees(
    database: Database, project_id: ProjectId, target_type: TargetType, filters: Filters
) -> None:
    """The monitor matches in this project, and not in a project without traces."""
    settings = monitor_settings(filters=filters.model_dump(mode="json", exclude_none=True))
    empty = await make_project(database, f"empty {uuid4()}")
    for project, matches in ((project_id, True), (empty, False)):
        async with database.write() as db:
            monitor = await monitor_rows.create(
                db, project, MonitorId(uuid4()), target_type, settings
            )
            assert await monitor_matches.any_match(db, monitor) is matches
            assert not await monitor_matches.any_match(db, monitor, since=clock.now())


@pytest.mark.parametrize("filters", cases(TraceScoreFilters, SessionScoreFilters))
async def test_filters_of_scores_agree(stored: Stored, filters: ScoreFilters) -> None:
    async with stored.database.read() as db:
        listed, total = await score_reads.page(db, stored.project_id, filters, Page())
    assert {score.target_type for score in listed} == {filters.target_type}
    everything = len(scores(stored.project_id, filters.target_type))
    assert len(listed) == total == (everything - 1 if filters.date_to else 1)


def scores(project_id: ProjectId, target_type: TargetType) -> list[Score]:
    """One score per field with the field's value; no score has two of the values."""
    return [
        a_score(project_id, target_type, name="coherence"),
        a_score(project_id, target_type, source=ScoreSource.ANNOTATION),
        a_score(project_id, target_type, status=ScoreStatus.FAILED),
        a_score(project_id, target_type, data_type=ScoreType.BOOLEAN),
        a_score(project_id, target_type, eval_run_id=RUN),
        a_score(project_id, target_type, target_id=str(TRACE)),
        a_score(project_id, target_type, environment="prod"),
        a_score(project_id, target_type, created_at=LATER),
    ]


def a_score(project_id: ProjectId, target_type: TargetType, **fields: Any) -> Score:
    values: dict[str, Any] = {
        "target_id": target_type.value,
        "name": "task_completion",
        "status": ScoreStatus.SUCCESS,
        "source": ScoreSource.AUTOMATED,
        "data_type": ScoreType.NUMERIC,
        "created_at": START,
        "updated_at": START,
        "meta": {},
    }
    return Score(id=uuid4(), project_id=project_id, target_type=target_type, **(values | fields))
