"""Analytics of scores, compared with values computed in the test."""

import random
import statistics
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from uuid import uuid4

import pytest

from core.db.database import Database
from core.db.sql_functions import Granularity
from core.db.tables import Score
from core.ids import ProjectId, ScoreSource, ScoreStatus, ScoreType, TargetType
from core.queries import score_analytics
from core.queries.score_analytics import MetricSummary, ScoreWindow
from tests.conftest import make_project
from tests.factories import START


def score(project_id: ProjectId, number: float | None, **overrides: Any) -> Score:
    moment = overrides.pop("created_at", START)
    fields: dict[str, Any] = {
        "id": uuid4(),
        "project_id": project_id,
        "target_type": TargetType.TRACE,
        "target_id": str(uuid4()),
        "name": "quality",
        "status": ScoreStatus.SUCCESS,
        "source": ScoreSource.AUTOMATED,
        "data_type": ScoreType.NUMERIC,
        "value": None if number is None else str(number),
        "number": number,
        "meta": {},
        "created_at": moment,
        "updated_at": moment,
    }
    return Score(**fields | overrides)


async def put(database: Database, *scores: Score) -> None:
    async with database.write() as db:
        db.add_all(scores)


async def summary(database: Database, scope: ScoreWindow) -> list[MetricSummary]:
    async with database.read() as db:
        return await score_analytics.summary(db, scope)


@pytest.mark.parametrize("target_type", list(TargetType))
async def test_a_summary_is_what_statistics_say(
    database: Database, project_id: ProjectId, target_type: TargetType
) -> None:
    chance = random.Random(5)
    numbers = {
        name: [round(chance.random(), places) for _ in range(count)]
        for name, count, places in (("a", 1, 4), ("b", 2, 4), ("c", 31, 1), ("d", 100, 2))
    }
    await put(
        database,
        *(
            score(project_id, number, name=name, target_type=target_type)
            for name, found in numbers.items()
            for number in found
        ),
    )
    found = await summary(database, ScoreWindow(project_id, target_type))
    assert [row.metric_name for row in found] == list(numbers)
    for row in found:
        of_metric = numbers[row.metric_name]
        assert row.median_score == pytest.approx(statistics.median(of_metric))
        assert row.avg_score == pytest.approx(statistics.mean(of_metric), abs=1e-6)
        assert (row.min_score, row.max_score) == (min(of_metric), max(of_metric))
        assert (row.success_count, row.failed_count) == (len(of_metric), 0)


async def test_only_numeric_successes_are_in_the_figures(
    database: Database, project_id: ProjectId
) -> None:
    hour = timedelta(hours=1)
    await put(
        database,
        score(project_id, 0.2),
        score(project_id, 0.6),
        score(project_id, None, meta={"applicable": False}),
        score(project_id, None, status=ScoreStatus.FAILED, created_at=START + hour),
        score(project_id, None, status=ScoreStatus.PENDING),
        score(project_id, None, value="true", data_type=ScoreType.BOOLEAN, name="fine"),
        score(project_id, None, value="red", data_type=ScoreType.CATEGORICAL, name="colour"),
    )
    colour, fine, quality = await summary(database, ScoreWindow(project_id, TargetType.TRACE))
    # Of two numbers, Student's t with one degree of freedom reaches beyond [0, 1].
    bounds = (0.0, 1.0)
    assert quality == MetricSummary("quality", 0.4, 0.2, 0.6, 0.4, 3, 1, START + hour, bounds)
    assert fine == MetricSummary("fine", None, None, None, None, 1, 0, START)
    assert colour == MetricSummary("colour", None, None, None, None, 1, 0, START)
    async with database.read() as db:
        scope = ScoreWindow(project_id, TargetType.TRACE)
        points = await score_analytics.trend(db, scope, Granularity.DAY)
        spread = await score_analytics.distribution(db, scope, 1)
    assert [(point.metric_name, point.count) for point in points] == [("quality", 2)]
    assert spread[0].count == 2


async def test_other_targets_projects_metrics_and_times_stay_out(database: Database) -> None:
    here, there = await make_project(database, "here"), await make_project(database, "there")
    end = START + timedelta(days=1)
    await put(
        database,
        score(here, 0.5),
        score(here, 0.1, target_type=TargetType.SESSION),
        score(there, 0.2),
        score(here, 0.3, created_at=START - timedelta(microseconds=1)),
        score(here, 0.4, created_at=end),
        score(here, 0.6, name="other"),
    )
    scope = ScoreWindow(here, TargetType.TRACE, "quality", START, end)
    [row] = await summary(database, scope)
    assert (row.avg_score, row.success_count) == (0.5, 1)
    async with database.read() as db:
        [point] = await score_analytics.trend(db, scope, Granularity.HOUR)
        assert (point.avg_score, point.count) == (0.5, 1)
        spread = await score_analytics.distribution(db, scope, 2)
        assert [bucket.count for bucket in spread] == [0, 1]
    assert await summary(database, ScoreWindow(there, TargetType.SESSION)) == []


@pytest.mark.parametrize(
    ("granularity", "expected"),
    [
        (Granularity.HOUR, ["2026-08-30T23", "2026-08-31T00", "2026-09-06T23", "2026-09-07T00"]),
        (Granularity.DAY, ["2026-08-30", "2026-08-31", "2026-09-06", "2026-09-07"]),
        (Granularity.WEEK, ["2026-08-24", "2026-08-31", "2026-09-07"]),
    ],
)
async def test_buckets_begin_on_the_hour_at_midnight_and_on_mondays_in_utc(
    database: Database, project_id: ProjectId, granularity: Granularity, expected: list[str]
) -> None:
    # 31 August and 7 September 2026 are Mondays.
    moments = [
        datetime(2026, 8, 30, 23, 59, 59, 999999, UTC),
        datetime(2026, 8, 31, 2, 30, tzinfo=UTC).astimezone() - timedelta(hours=2),
        datetime(2026, 9, 6, 23, 59, tzinfo=UTC),
        datetime(2026, 9, 7, tzinfo=UTC),
    ]
    await put(database, *(score(project_id, 0.5, created_at=moment) for moment in moments))
    async with database.read() as db:
        points = await score_analytics.trend(
            db, ScoreWindow(project_id, TargetType.TRACE), granularity
        )
    assert [point.bucket for point in points] == [
        datetime.fromisoformat(text).replace(tzinfo=UTC) for text in expected
    ]
    assert sum(point.count for point in points) == 4


async def test_a_trend_has_a_point_for_each_metric_of_a_bucket(
    database: Database, project_id: ProjectId
) -> None:
    await put(
        database,
        score(project_id, 1.0, name="b"),
        score(project_id, 0.5, name="b"),
        score(project_id, 0.25, name="a"),
        score(project_id, 0.75, name="a", created_at=START - timedelta(days=2)),
    )
    async with database.read() as db:
        points = await score_analytics.trend(
            db, ScoreWindow(project_id, TargetType.TRACE), Granularity.DAY
        )
    assert [(p.bucket.day, p.metric_name, p.avg_score, p.count) for p in points] == [
        (30, "a", 0.75, 1),
        (1, "a", 0.25, 1),
        (1, "b", 0.75, 2),
    ]


@pytest.mark.parametrize("buckets", [1, 3, 7, 10, 100])
async def test_every_number_falls_into_the_bucket_it_is_in(
    database: Database, project_id: ProjectId, buckets: int
) -> None:
    steps = [*range(0, 10_001, 50), 1, 2_857, 2_858, 3_333, 3_334, 9_999]
    await put(database, *(score(project_id, step / 10_000) for step in steps))
    async with database.read() as db:
        found = await score_analytics.distribution(
            db, ScoreWindow(project_id, TargetType.TRACE), buckets
        )
    expected = Counter(min(step * buckets // 10_000, buckets - 1) for step in steps)
    assert [bucket.count for bucket in found] == [expected[n] for n in range(buckets)]
    assert [bucket.bucket for bucket in found] == list(range(1, buckets + 1))
    assert (found[0].bucket_min, found[-1].bucket_max) == (0, 1)
    for before, after in pairwise(found):
        assert before.bucket_max == after.bucket_min


async def test_where_there_are_no_scores_every_bucket_is_empty(
    database: Database, project_id: ProjectId
) -> None:
    scope = ScoreWindow(project_id, TargetType.TRACE, "quality")
    assert await summary(database, scope) == []
    async with database.read() as db:
        assert await score_analytics.trend(db, scope, Granularity.DAY) == []
        assert [b.count for b in await score_analytics.distribution(db, scope, 3)] == [0, 0, 0]
