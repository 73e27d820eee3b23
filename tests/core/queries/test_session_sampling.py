"""Which sessions a run judges."""

from datetime import timedelta
from typing import Any

import pytest
from sqlmodel import col, select

from core.db.database import Database
from core.db.tables import EvalRunTarget
from core.filters import SessionFilters
from core.ids import ProjectId, TargetType
from core.queries import run_rows, run_sampling, session_reads
from tests.conftest import make_project
from tests.factories import START, new_run, store_traces


async def frozen(database: Database, project_id: ProjectId, **overrides: Any) -> list[str]:
    run = new_run(
        project_id,
        target_type=TargetType.SESSION,
        metric_names=["agent_reliability"],
        **overrides,
    )
    async with database.write() as db:
        row = await run_rows.create(db, run)
        await run_sampling.freeze(db, row, await run_sampling.draw(db, row))
    async with database.read() as db:
        rows = await db.execute(
            select(col(EvalRunTarget.target_id))
            .where(col(EvalRunTarget.run_id) == run.spec.run_id)
            .order_by(col(EvalRunTarget.seq))
        )
        return list(rows.scalars())


async def store_sessions(database: Database, project_id: ProjectId, count: int) -> list[str]:
    names = [f"s-{n:02}" for n in range(count)]
    for name in names:
        await store_traces(database, project_id, 2, session_id=name)
    return names


async def test_each_session_is_frozen_once_and_traces_without_one_are_left_out(
    database: Database, project_id: ProjectId, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_sampling, "TARGETS_PER_PAGE", 3)
    names = await store_sessions(database, project_id, 10)
    await store_traces(database, project_id, 2)
    await store_traces(database, await make_project(database, "other"), 1, session_id="theirs")
    assert await frozen(database, project_id) == names


async def test_a_share_of_the_sessions_is_drawn_whole(
    database: Database, project_id: ProjectId
) -> None:
    names = await store_sessions(database, project_id, 10)
    drawn = await frozen(database, project_id, sampling_rate=0.39)
    assert len(drawn) == 3
    assert set(drawn) < set(names)


async def test_named_sessions_are_taken_in_the_order_given(
    database: Database, project_id: ProjectId
) -> None:
    named = {"session_ids": ["b", "a"], "signal_weights": {"confidence": 2}}
    assert await frozen(database, project_id, filters=named) == ["b", "a"]


MOMENTS = [(START + timedelta(seconds=n)).isoformat() for n in range(4)]


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({}, ["bad", "long", "short"]),
        ({"has_error": True}, ["bad"]),
        ({"has_error": False}, ["long", "short"]),
        ({"min_trace_count": 2}, ["bad", "long"]),
        ({"min_trace_count": 3}, ["long"]),
        ({"user_id": "ada"}, ["long"]),
        # Filters test the session: no single trace has both.
        ({"user_id": "ada", "tags": ["blue", "unused"]}, ["long"]),
        ({"tags": ["red"]}, ["short"]),
        ({"date_from": MOMENTS[2]}, ["long"]),
        ({"date_to": MOMENTS[1], "min_trace_count": 3}, ["long"]),
        ({"date_from": MOMENTS[1], "date_to": MOMENTS[2]}, ["bad", "long"]),
    ],
)
async def test_filters_are_asked_of_a_session_as_a_whole(
    database: Database, project_id: ProjectId, filters: dict[str, Any], found: list[str]
) -> None:
    # The second of these starts a second after the first, the third two.
    await store_traces(database, project_id, 1, session_id="long", user_id="ada")
    await store_traces(database, project_id, 3, session_id="long", tags=["blue"])
    await store_traces(database, project_id, 2, session_id="bad", status="ERROR")
    await store_traces(database, project_id, 1, session_id="short", tags=["red"])
    assert await frozen(database, project_id, filters=filters) == found
    async with database.read() as db:
        wanted = SessionFilters.model_validate(filters)
        assert await session_reads.any_match(db, project_id, wanted) is bool(found)


async def test_no_session_matches_where_none_does(
    database: Database, project_id: ProjectId
) -> None:
    await store_traces(database, project_id, 1)
    async with database.read() as db:
        assert not await session_reads.any_match(db, project_id, SessionFilters())
        assert await session_reads.unknown_ids(db, project_id, ["b", "a"]) == ["b", "a"]
