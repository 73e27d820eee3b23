"""Analytics of traces, compared with values computed in the test."""

import random
import statistics
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from core.db.database import Database
from core.db.paging import Page
from core.db.sql_functions import Granularity
from core.db.tables import metadata
from core.ids import ProjectId
from core.queries import trace_analytics, trace_writes
from core.queries.trace_analytics import (
    ModelFigures,
    Period,
    SpendBucket,
    TrafficBucket,
    UserFigures,
)
from core.trace_input import TraceBody
from tests.conftest import make_project
from tests.factories import START, span_body, trace_body

DAY = datetime(2026, 9, 1, tzinfo=UTC)


async def put(database: Database, project_id: ProjectId, *bodies: dict[str, Any]) -> None:
    async with database.write() as db:
        await trace_writes.store_all(
            db, [(project_id, TraceBody.model_validate(trace_body(**body))) for body in bodies]
        )


def lasting(milliseconds: float | None, **overrides: Any) -> dict[str, Any]:
    ended = None if milliseconds is None else START + timedelta(milliseconds=milliseconds)
    return {"ended_at": ended and ended.isoformat()} | overrides


async def traffic(
    database: Database, project_id: ProjectId, granularity: Granularity = Granularity.DAY
) -> list[TrafficBucket]:
    async with database.read() as db:
        return await trace_analytics.traffic(db, project_id, Period(), granularity)


@pytest.mark.parametrize("count", [1, 2, 3, 10, 101, 250])
async def test_percentiles_are_exact(database: Database, project_id: ProjectId, count: int) -> None:
    chance = random.Random(count)
    latencies = [round(chance.expovariate(0.001), 3) for _ in range(count)]
    await put(database, project_id, *(lasting(ms) for ms in latencies), lasting(None))
    [bucket] = await traffic(database, project_id)
    places = [latencies[0]] * 99
    if count > 1:
        places = statistics.quantiles(latencies, n=100, method="inclusive")
    assert bucket.p50_latency_ms == pytest.approx(places[49], abs=0.001)
    assert bucket.p90_latency_ms == pytest.approx(places[89], abs=0.001)
    assert bucket.p99_latency_ms == pytest.approx(places[98], abs=0.001)
    assert bucket.avg_latency_ms == pytest.approx(statistics.mean(latencies), abs=0.001)
    assert bucket.trace_count == count + 1


async def test_latencies_have_three_decimals(database: Database, project_id: ProjectId) -> None:
    await put(database, project_id, lasting(1), lasting(1), lasting(2))
    [bucket] = await traffic(database, project_id)
    assert bucket.avg_latency_ms == 1.333


async def test_traffic_counts_by_time_and_leaves_out_what_has_no_latency(
    database: Database, project_id: ProjectId
) -> None:
    def at(moment: datetime, **fields: Any) -> dict[str, Any]:
        ended = moment + timedelta(seconds=1)
        return {"started_at": moment.isoformat(), "ended_at": ended.isoformat()} | fields

    await put(
        database,
        project_id,
        at(DAY, status="ERROR"),
        at(DAY + timedelta(hours=23, minutes=59), status="ERROR", ended_at=None),
        at(DAY + timedelta(hours=1)),
        at(DAY + timedelta(days=1), status="RUNNING", ended_at=None),
    )
    first, second = await traffic(database, project_id)
    assert first == TrafficBucket(DAY, 3, 2, 1000, 1000, 1000, 1000)
    assert second == TrafficBucket(DAY + timedelta(days=1), 1, 0, None, None, None, None)
    [week] = await traffic(database, project_id, Granularity.WEEK)
    assert (week.bucket, week.trace_count) == (datetime(2026, 8, 31, tzinfo=UTC), 4)
    hours = await traffic(database, project_id, Granularity.HOUR)
    assert [hour.bucket.hour for hour in hours] == [0, 1, 23, 0]


async def test_a_period_has_its_start_and_not_its_end(
    database: Database, project_id: ProjectId
) -> None:
    end = START + timedelta(hours=1)
    moments = [START - timedelta(microseconds=1), START, end - timedelta(microseconds=1), end]
    call = {"model": "m", "kind": "LLM"}
    await put(
        database,
        project_id,
        *(
            {"started_at": at.isoformat(), "spans": [span_body(started_at=at.isoformat(), **call)]}
            for at in moments
        ),
    )
    period = Period(START, end)
    async with database.read() as db:
        found = await trace_analytics.traffic(db, project_id, period, Granularity.WEEK)
        assert [bucket.trace_count for bucket in found] == [2]
        [model] = await trace_analytics.models(db, project_id, period)
        assert model.call_count == 2


async def test_spend_adds_up_tokens_and_dollars_by_time(
    database: Database, project_id: ProjectId
) -> None:
    parts = {"prompt_tokens": 3, "completion_tokens": 4}
    next_day = (START + timedelta(days=1)).isoformat()
    await put(
        database,
        project_id,
        {
            "spans": [
                span_body(token_usage=parts, cost=0.1),
                span_body(token_usage=parts, cost=0.2),
            ]
        },
        {"spans": [span_body(token_usage={"total_tokens": 100})]},
        {"started_at": next_day, "ended_at": None, "spans": [span_body(started_at=next_day)]},
    )
    async with database.read() as db:
        found = await trace_analytics.spend(db, project_id, Period(), Granularity.DAY)
    assert found == [
        SpendBucket(DAY, 114, 6, 8, 0.3),
        SpendBucket(DAY + timedelta(days=1), 0, 0, 0, 0),
    ]


async def test_sums_beyond_64_bits_are_answered(database: Database, project_id: ProjectId) -> None:
    await put(database, project_id, *({"spans": [span_body(model="m")]} for _ in range(3)))
    async with database.write() as db:
        for table in ("trace", "span"):
            await db.execute(metadata.tables[table].update().values(total_tokens=2**62))
    async with database.read() as db:
        [bucket] = await trace_analytics.spend(db, project_id, Period(), Granularity.DAY)
        [model] = await trace_analytics.models(db, project_id, Period())
    assert bucket.total_tokens == model.total_tokens == 3 * 2**62


async def test_models_are_listed_by_how_often_they_were_called(
    database: Database, project_id: ProjectId
) -> None:
    def call(model: str | None, **fields: Any) -> dict[str, Any]:
        return span_body(model=model, kind="LLM", **fields)

    await put(
        database,
        project_id,
        {"spans": [call("b", token_usage={"total_tokens": 5}, cost=0.5), call("a"), call(None)]},
        {"spans": [call("c", cost=1), call("c", token_usage={"input": 1, "output": 1})]},
    )
    there = await make_project(database, "there")
    await put(database, there, {"spans": [call("theirs")]})
    async with database.read() as db:
        found = await trace_analytics.models(db, project_id, Period())
    assert found == [
        ModelFigures("c", 2, 2, 1),
        ModelFigures("a", 1, 0, 0),
        ModelFigures("b", 1, 5, 0.5),
    ]


async def test_users_are_counted_with_their_first_and_last_trace(
    database: Database, project_id: ProjectId
) -> None:
    def by(user: str | None, hour: int, **fields: Any) -> dict[str, Any]:
        moment = (START + timedelta(hours=hour)).isoformat()
        return {"user_id": user, "started_at": moment, "ended_at": None} | fields

    await put(
        database,
        project_id,
        *(by("b", 3, status="ERROR"), by("b", 1), by("b", 2, status="ERROR")),
        *(by("a", 0), by(None, 0), by("", 5)),
    )
    there = await make_project(database, "there")
    await put(database, there, by("theirs", 0))
    async with database.read() as db:
        found, total = await trace_analytics.users(db, project_id, Page(50, 0))
        assert total == 3
        assert {user.user_id: user for user in found} == {
            "": UserFigures("", 1, START + timedelta(hours=5), START + timedelta(hours=5), 0),
            "a": UserFigures("a", 1, START, START, 0),
            "b": UserFigures("b", 3, START + timedelta(hours=1), START + timedelta(hours=3), 2),
        }
        second, total = await trace_analytics.users(db, project_id, Page(1, 1))
        assert (second, total) == ([found[1]], 3)
