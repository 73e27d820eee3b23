"""Traces whose root span never arrives."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select

from core import clock
from core.db.database import Database
from core.db.tables import EvalRun, metadata
from core.ids import ProjectId, RunStatus, TargetType
from core.queries import monitor_matches, run_sampling, trace_writes
from core.queries.trace_settling import settle_traces
from core.trace_input import SpanBody, SpanDerivedTrace, TraceBody
from tests.conftest import make_project
from tests.factories import make_monitor

START = datetime(2026, 1, 1, tzinfo=UTC)
TRACE = metadata.tables["trace"]
MISSING = UUID(int=999)


def span(number: int, parent: UUID | None = MISSING, **fields: Any) -> SpanBody:
    given = {
        "span_id": UUID(int=number),
        "parent_span_id": parent,
        "name": f"span {number}",
        "kind": "LLM",
        "input": f"in {number}",
        "output": f"out {number}",
        "started_at": START + timedelta(seconds=number),
        "ended_at": START + timedelta(seconds=number + 1),
    }
    return SpanBody.model_validate(given | fields)


async def arrive(database: Database, project_id: ProjectId, trace_id: UUID, *spans: Any) -> None:
    body = SpanDerivedTrace.model_validate(
        {
            "trace_id": trace_id,
            "name": spans[0].name,
            "status": "RUNNING" if all(one.parent_span_id for one in spans) else "COMPLETED",
            "started_at": START,
            "input": spans[0].input,
            "output": spans[-1].output,
            "spans": list(spans),
        }
    )
    async with database.write() as db:
        await trace_writes.store_all(db, [(project_id, body)])


async def row(database: Database, trace_id: UUID) -> Any:
    async with database.read() as db:
        return (await db.execute(select(*TRACE.columns).where(TRACE.c.id == trace_id))).one()


@pytest.mark.parametrize(
    ("spans", "status"),
    [
        ([span(1), span(2)], "COMPLETED"),
        ([span(1), span(2, status="ERROR")], "ERROR"),
        ([span(1), span(2, kind="TOOL", status="ERROR"), span(3)], "COMPLETED"),
        ([span(1), span(2, UUID(int=1), status="ERROR")], "COMPLETED"),
    ],
)
async def test_a_trace_is_settled_by_its_spans(
    database: Database, project_id: ProjectId, spans: list[SpanBody], status: str
) -> None:
    trace_id = uuid4()
    await arrive(database, project_id, trace_id, *spans)
    assert await settle_traces(database, after_seconds=600) == 0
    before = await row(database, trace_id)
    assert before.status == "RUNNING"
    assert await settle_traces(database, after_seconds=0) == 1
    after = await row(database, trace_id)
    assert (after.status, after.name, after.input) == (status, "span 1", "in 1")
    assert after.ingested_at > before.ingested_at
    assert await settle_traces(database, after_seconds=0) == 0


async def test_a_trace_that_still_grows_takes_no_write_lock(
    sqlite: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await arrive(sqlite, await make_project(sqlite), uuid4(), span(1))

    def refuse() -> None:
        raise AssertionError("a transaction that writes was opened")

    monkeypatch.setattr(sqlite, "write", refuse)
    assert await settle_traces(sqlite, after_seconds=600) == 0


async def test_traces_of_two_projects_may_share_their_id(
    database: Database, project_id: ProjectId
) -> None:
    trace_id = uuid4()
    for owner in (project_id, await make_project(database, "other")):
        await arrive(database, owner, trace_id, span(1))
    assert await settle_traces(database, after_seconds=0) == 2


async def test_a_root_that_comes_after_all_has_the_last_word(
    database: Database, project_id: ProjectId
) -> None:
    trace_id = uuid4()
    await arrive(database, project_id, trace_id, span(1))
    await settle_traces(database, after_seconds=0)
    await arrive(database, project_id, trace_id, span(999, None, name="root", status="ERROR"))
    found = await row(database, trace_id)
    assert (found.name, found.status) == ("root", "ERROR")


async def test_what_a_client_says_is_running_is_left_alone(
    database: Database, project_id: ProjectId
) -> None:
    body = TraceBody.model_validate({"name": "n", "status": "RUNNING", "started_at": START})
    async with database.write() as db:
        await trace_writes.store_all(db, [(project_id, body)])
    assert await settle_traces(database, after_seconds=0) == 0


async def test_a_monitor_sees_a_trace_once_it_is_settled(
    database: Database, project_id: ProjectId
) -> None:
    trace_id = uuid4()
    await arrive(database, project_id, trace_id, span(1))
    monitor = await make_monitor(database, project_id)
    last_run = clock.now()
    async with database.read() as db:
        assert not await monitor_matches.any_match(db, monitor)
    await settle_traces(database, after_seconds=0)
    async with database.read() as db:
        assert await monitor_matches.any_match(db, monitor)
        # The trace counts as arrived when it was settled, so a monitor that ran before has not seen
        # it.
        assert await monitor_matches.any_match(db, monitor, since=last_run)


@pytest.mark.parametrize("by_monitor", [True, False])
async def test_a_monitor_leaves_sessions_with_an_open_trace(
    database: Database, project_id: ProjectId, by_monitor: bool
) -> None:
    finished, waiting = uuid4(), uuid4()
    await arrive(database, project_id, finished, span(1, None))
    await arrive(database, project_id, waiting, span(2))
    async with database.write() as db:
        for trace_id, session in ((finished, "whole"), (waiting, "open")):
            await db.execute(
                TRACE.update().where(TRACE.c.id == trace_id).values(session_id=session)
            )
    run = EvalRun(
        id=uuid4(),
        project_id=project_id,
        target_type=TargetType.SESSION,
        metric_names=["agent_reliability"],
        filters={},
        sampling_rate=1.0,
        status=RunStatus.PENDING,
        model="m",
        monitor_id=uuid4() if by_monitor else None,
    )
    async with database.read() as db:
        drawn = await run_sampling.draw(db, run)
    assert drawn == (["whole"] if by_monitor else ["open", "whole"])
