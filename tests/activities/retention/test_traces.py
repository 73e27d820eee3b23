"""Which traces expire, and which must stay."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta, timezone
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select

from activities.retention import sweeping, trace_sweep
from core.db.database import Database
from core.db.tables import EvalRun, metadata
from core.ids import ProjectId, RunStatus, TargetType
from core.queries import (
    expired_traces,
    run_names,
    run_rows,
    run_sampling,
    trace_edits,
)
from core.retention import RetentionDays
from tests.activities.retention.ages import (
    CUTOFF,
    NOW,
    OLD,
    YOUNG,
    ids_in,
    run_over,
    set_columns,
    take_turn,
    traces_from,
)
from tests.conftest import make_project
from tests.factories import new_run, store_traces

MONTH = RetentionDays(traces=30, runs=30, judgements=30, usage=30)


async def test_a_trace_goes_only_when_it_is_older_than_its_days(
    database: Database, project_id: ProjectId
) -> None:
    tokyo = timezone(timedelta(hours=9))
    instant = timedelta(microseconds=1)
    await traces_from(database, project_id, 1, (CUTOFF - instant).astimezone(tokyo))
    [exactly] = await traces_from(database, project_id, 1, CUTOFF.astimezone(tokyo))
    [after] = await traces_from(database, project_id, 1, CUTOFF + instant)
    swept = await take_turn(database, project_id, RetentionDays(traces=30))
    assert swept.deleted == {"traces": 1}
    assert swept.place is None
    assert await ids_in(database, "trace", project_id) == {exactly, after}


async def test_the_arrival_of_a_trace_counts_not_the_clock_of_its_client(
    database: Database, project_id: ProjectId
) -> None:
    ids = await store_traces(database, project_id, 1)
    await set_columns(database, "trace", ids, started_at=OLD, ingested_at=YOUNG)
    assert (await take_turn(database, project_id, MONTH)).deleted == {}


async def test_an_expired_trace_ends_like_one_that_a_user_deletes(
    database: Database, project_id: ProjectId
) -> None:
    [expired] = await traces_from(database, project_id, 1, OLD, tags=["a"])
    by_hand, kept = await traces_from(database, project_id, 2, NOW, tags=["a"])
    targets = [str(expired), str(by_hand), str(kept)]
    run = await run_over(database, project_id, targets, ended=NOW)
    await take_turn(database, project_id, RetentionDays(traces=30))
    async with database.write() as db:
        await trace_edits.remove(db, project_id, [by_hand])
    async with database.read() as db:
        for table in ("span", "trace_tag"):
            column = metadata.tables[table].c.trace_id
            assert set(await db.scalars(select(column))) == {kept}, table
        target = metadata.tables["score"].c.target_id
        assert set(await db.scalars(select(target))) == {str(kept)}
        row = await run_rows.get(db, project_id, run.id)
    assert row.figures_revision == 2, "both deletions say that the figures have changed"
    assert (row.status, row.total_targets) == (RunStatus.COMPLETED, 3)


async def test_the_scores_of_a_session_go_with_its_last_trace(
    database: Database, project_id: ProjectId
) -> None:
    await traces_from(database, project_id, 1, OLD, session_id="ends")
    await traces_from(database, project_id, 1, OLD, session_id="goes on")
    await traces_from(database, project_id, 1, YOUNG, session_id="goes on")
    await run_over(
        *(database, project_id, ["ends", "goes on"]),
        target_type=TargetType.SESSION,
        metric_names=["agent_reliability"],
        ended=YOUNG,
    )
    await take_turn(database, project_id, RetentionDays(traces=30))
    async with database.read() as db:
        target = metadata.tables["score"].c.target_id
        assert list(await db.scalars(select(target))) == ["goes on"]


@pytest.mark.parametrize("state", ["open", "paused", "waiting"])
async def test_an_unfinished_run_keeps_its_traces(
    database: Database, project_id: ProjectId, state: str
) -> None:
    ids = await traces_from(database, project_id, 4, OLD)
    run = await run_over(database, project_id, [str(ids[1]), str(ids[2])], ended=None)
    values: Mapping[str, Mapping[str, Any]] = {
        "open": {"status": RunStatus.RUNNING},
        "paused": {"paused_at": OLD},
        "waiting": {"admitted_at": None, "status": RunStatus.PENDING},
    }
    await set_columns(database, "eval_run", [run.id], **values[state])
    other = await make_project(database, "other")
    await traces_from(database, other, 1, OLD)
    assert (await take_turn(database, project_id, RetentionDays(traces=30))).deleted == {
        "traces": 2
    }
    assert await ids_in(database, "trace", project_id) == {ids[1], ids[2]}
    assert len(await ids_in(database, "trace", other)) == 1
    await set_columns(database, "eval_run", [run.id], completed_at=NOW)
    await take_turn(database, project_id, RetentionDays(traces=30))
    assert await ids_in(database, "trace", project_id) == set()


async def test_a_waiting_run_keeps_all_traces_that_it_names(
    database: Database, project_id: ProjectId
) -> None:
    """60 traces and two metrics: too many pairs to start the run with them."""
    ids = await traces_from(database, project_id, 60, OLD)
    named = {"trace_ids": [str(one) for one in ids]}
    new = new_run(project_id, metric_names=["task_completion", "confidence"], filters=named)
    async with database.write() as db:
        run = await run_names.create(db, new)
        await run_sampling.freeze_named(db, run)
    assert (await take_turn(database, project_id, RetentionDays(traces=30))).deleted == {}
    assert await ids_in(database, "trace", project_id) == set(ids)


async def test_an_unfinished_session_run_keeps_whole_sessions(
    database: Database, project_id: ProjectId
) -> None:
    judged = await traces_from(database, project_id, 3, OLD, session_id="judged")
    await traces_from(database, project_id, 2, OLD, session_id="other")
    await run_over(
        *(database, project_id, ["judged"]),
        target_type=TargetType.SESSION,
        metric_names=["agent_reliability"],
        ended=None,
    )
    await take_turn(database, project_id, RetentionDays(traces=30))
    assert await ids_in(database, "trace", project_id) == set(judged)


async def test_traces_wait_while_a_run_draws_its_sample(
    database: Database, project_id: ProjectId, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeping, "TURN_SECONDS", 0.1)
    ids = await traces_from(database, project_id, 2, OLD)
    async with database.write() as db:
        run = await run_rows.create(db, new_run(project_id))
        run.admitted_at = NOW
    swept = await take_turn(database, project_id, RetentionDays(traces=30))
    assert swept.deleted == {}
    assert swept.place is not None
    assert swept.place.held_up > 0, "another turn follows"
    last = replace(swept.place, held_up=trace_sweep.MAX_HELD_UP)
    swept = await take_turn(database, project_id, RetentionDays(traces=30), place=last)
    assert (swept.deleted, swept.place) == ({}, None), "the next sweep tries again"
    await set_columns(database, "eval_run", [run.id], resolved_at=NOW)
    await take_turn(database, project_id, RetentionDays(traces=30))
    assert not await ids_in(database, "trace", project_id) & set(ids)


async def test_a_run_that_begins_within_a_turn_keeps_its_traces(
    database: Database, project_id: ProjectId, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = await traces_from(database, project_id, 3, OLD)
    real = expired_traces.needed
    begun: list[EvalRun] = []

    async def needed(*args: Any) -> set[UUID]:
        found = await real(*args)
        if not begun:
            begun.append(await run_over(database, project_id, [str(ids[1])], ended=None))
        return found

    monkeypatch.setattr(expired_traces, "needed", needed)
    await take_turn(database, project_id, RetentionDays(traces=30))
    assert begun
    assert await ids_in(database, "trace", project_id) == {ids[1]}


async def test_a_trace_that_is_sent_again_within_a_turn_stays(
    database: Database, project_id: ProjectId, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = await traces_from(database, project_id, 2, OLD)
    real = expired_traces.needed

    async def needed(*args: Any) -> set[UUID]:
        await set_columns(database, "trace", ids[:1], ingested_at=NOW)
        return await real(*args)

    monkeypatch.setattr(expired_traces, "needed", needed)
    await take_turn(database, project_id, RetentionDays(traces=30))
    assert await ids_in(database, "trace", project_id) == {ids[0]}
