"""What a turn deletes, and what stays."""

from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import func, select

from activities.retention import write_pace
from activities.retention.sweeping import Retention
from core.db.database import Database
from core.db.tables import Comparison, NoiseMeasurement, metadata
from core.ids import ProjectId, RunStatus
from core.judgement import StoredJudgement
from core.queries import (
    budget_accounts,
    judgements,
    projects,
    run_rows,
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
from tests.factories import make_monitor

MONTH = RetentionDays(traces=30, runs=30, judgements=30, usage=30)


async def test_nothing_goes_without_a_setting(database: Database, project_id: ProjectId) -> None:
    [trace_id] = await traces_from(database, project_id, 1, NOW - timedelta(days=9_999))
    await run_over(database, project_id, [str(trace_id)], ended=NOW - timedelta(days=9_998))
    assert (await take_turn(database, project_id, RetentionDays())).deleted == {}
    found = await Retention(database, RetentionDays()).find_expired(None)
    assert found.project_ids == []
    assert await ids_in(database, "trace", project_id) == {trace_id}
    assert len(await ids_in(database, "eval_run", project_id)) == 1


async def test_a_finished_run_goes_with_everything_that_belongs_to_it(
    database: Database, project_id: ProjectId
) -> None:
    ids = [str(one) for one in await traces_from(database, project_id, 2, NOW)]
    old = await run_over(database, project_id, ids, ended=OLD, max_tokens=5)
    young = await run_over(database, project_id, ids, ended=YOUNG)
    still_open = await run_over(database, project_id, ids, ended=None)
    await set_columns(database, "eval_run", [still_open.id], created_at=OLD)
    monitor = await make_monitor(database, project_id)
    await set_columns(database, "eval_monitor", [monitor.id], last_run_id=old.id)
    swept = await take_turn(database, project_id, RetentionDays(runs=30))
    assert swept.deleted == {"runs": 1}
    assert await ids_in(database, "eval_run", project_id) == {young.id, still_open.id}
    async with database.read() as db:
        for table, column in (("score", "eval_run_id"), ("eval_run_target", "run_id")):
            found = set(await db.scalars(select(metadata.tables[table].c[column])))
            assert found == {young.id, still_open.id}, table
        last = metadata.tables["eval_monitor"].c.last_run_id
        assert await db.scalar(select(last)) is None
    assert await ids_in(database, "budget_account", project_id) == set()
    assert len(await ids_in(database, "trace", project_id)) == 2


async def test_a_run_goes_only_when_it_ended_longer_ago_than_its_days(
    database: Database, project_id: ProjectId
) -> None:
    ended = {"exactly": CUTOFF, "before": CUTOFF - timedelta(microseconds=1)}
    runs = {
        name: await run_over(database, project_id, [], ended=moment)
        for name, moment in ended.items()
    }
    await set_columns(
        *(database, "eval_run", [run.id for run in runs.values()]),
        created_at=CUTOFF - timedelta(days=9),
    )
    await take_turn(database, project_id, RetentionDays(runs=30))
    assert await ids_in(database, "eval_run", project_id) == {runs["exactly"].id}


async def test_comparisons_expire_by_their_own_age_and_keep_their_runs_while_open(
    database: Database, project_id: ProjectId
) -> None:
    runs = [await run_over(database, project_id, [], ended=OLD) for _ in range(6)]

    def comparison(first: int, moment: datetime, status: RunStatus) -> Comparison:
        return Comparison(
            id=uuid4(),
            project_id=project_id,
            baseline_run_id=runs[first].id,
            candidate_run_id=runs[first + 1].id,
            settings={},
            result={},
            status=status,
            created_at=moment,
        )

    expired = comparison(0, OLD, RunStatus.COMPLETED)
    readable = comparison(0, YOUNG, RunStatus.COMPLETED)
    comparing = comparison(2, OLD, RunStatus.RUNNING)
    async with database.write() as db:
        db.add_all([expired, readable, comparing])
        db.add(
            NoiseMeasurement(
                id=uuid4(),
                project_id=project_id,
                run_id=runs[4].id,
                model="offline/rules",
                sample=1,
                seed=1,
                status=RunStatus.RUNNING,
                created_at=OLD,
            )
        )
    swept = await take_turn(database, project_id, RetentionDays(runs=30))
    assert swept.deleted == {"runs": 3, "comparisons": 1}
    assert await ids_in(database, "comparison", project_id) == {readable.id, comparing.id}
    assert await ids_in(database, "eval_run", project_id) == {run.id for run in runs[2:5]}


async def stored_judgements(database: Database, project_id: ProjectId, *keys: str) -> None:
    answer = StoredJudgement(
        model="offline/rules", answer={}, prompt_tokens=1, completion_tokens=1, cost_usd=None
    )
    async with database.write() as db:
        await judgements.record(db, {(project_id, key): answer for key in keys})


async def test_judgements_expire_but_not_those_of_an_unfinished_run(
    database: Database, project_id: ProjectId
) -> None:
    await stored_judgements(database, project_id, "older", "of the run", "young")
    begun = OLD - timedelta(days=1)
    await set_columns(database, "judgement", ["older"], created_at=begun - timedelta(days=1))
    await set_columns(database, "judgement", ["of the run"], created_at=OLD)
    run = await run_over(database, project_id, [], ended=None)
    await set_columns(database, "eval_run", [run.id], created_at=begun, paused_at=OLD)
    assert (await take_turn(database, project_id, RetentionDays(judgements=30))).deleted == {
        "judgements": 1
    }
    assert await ids_in(database, "judgement", project_id) == {"of the run", "young"}
    await set_columns(database, "eval_run", [run.id], completed_at=NOW)
    await take_turn(database, project_id, RetentionDays(judgements=30))
    assert await ids_in(database, "judgement", project_id) == {"young"}


async def usage_days(database: Database, project_id: ProjectId) -> set[str]:
    rows = metadata.tables["usage_day"]
    async with database.read() as db:
        return set(await db.scalars(select(rows.c.day).where(rows.c.project_id == project_id)))


@pytest.mark.slow
async def test_usage_expires_by_whole_days_and_never_within_the_month(
    database: Database, project_id: ProjectId
) -> None:
    days = ["2026-09-30", "2026-10-01", "2026-10-27", "2026-10-28", "2026-11-02"]
    for day in days:
        ids = [str(one) for one in await traces_from(database, project_id, 1, NOW)]
        moment = datetime.fromisoformat(f"{day}T23:59:59+00:00")
        run = await run_over(database, project_id, ids, ended=moment)
        async with database.write() as db:
            score = metadata.tables["score"]
            await db.execute(score.update().values(created_at=moment))
            await run_rows.remove(db, project_id, run.id, delete_scores=True)
            for month in ("2026-09", "2026-10", "2026-11"):
                await budget_accounts.open_for_month(db, project_id, month)
    assert await usage_days(database, project_id) == set(days)
    await set_columns(database, "project", [project_id], created_at=NOW - timedelta(days=99))
    assert (await take_turn(database, project_id, RetentionDays(usage=30))).deleted == {"usage": 3}
    assert await usage_days(database, project_id) == set(days[3:]), "the cutoff is on the 28th"
    months = {budget_accounts.month_id(project_id, one) for one in ("2026-10", "2026-11")}
    assert await ids_in(database, "budget_account", project_id) == months
    await take_turn(database, project_id, RetentionDays(usage=1))
    assert await usage_days(database, project_id) == set(days[4:]), "the month began on the 1st"


async def test_a_project_may_keep_longer_shorter_or_for_ever(database: Database) -> None:
    own: dict[str, int | None] = {"usual": None, "longer": 60, "shorter": 1, "for ever": 0}
    left: dict[str, int] = {}
    for name, days in own.items():
        project_id = await make_project(database, name)
        await set_columns(database, "project", [project_id], retention_traces_days=days)
        await traces_from(database, project_id, 1, OLD)
        await traces_from(database, project_id, 1, NOW - timedelta(days=2))
        await take_turn(database, project_id, RetentionDays(traces=30))
        left[name] = len(await ids_in(database, "trace", project_id))
    assert left == {"usual": 1, "longer": 2, "shorter": 0, "for ever": 2}


async def test_pages_of_projects_name_those_with_expired_rows(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("activities.retention.sweeping.PROJECTS_PER_PAGE", 2)
    expected = set()
    for number in range(5):
        project_id = await make_project(database, f"project {number}")
        if number % 2:
            await traces_from(database, project_id, 1, OLD)
            expected.add(project_id)
    retention = Retention(database, MONTH)
    found, after, pages = set(), None, 0
    while pages == 0 or after is not None:
        page = await retention.find_expired(after)
        found |= set(page.project_ids)
        after, pages = page.after, pages + 1
    assert (found, pages) == (expected, 3)


async def test_a_project_with_nothing_but_an_old_account_gets_a_turn(
    database: Database, project_id: ProjectId
) -> None:
    await set_columns(database, "project", [project_id], created_at=NOW - timedelta(days=99))
    retention = Retention(database, RetentionDays(usage=30))
    for month, found in (("2026-11", []), ("2026-09", [project_id])):
        async with database.write() as db:
            await budget_accounts.open_for_month(db, project_id, month)
        assert (await retention.find_expired(None)).project_ids == found
    await take_turn(database, project_id, RetentionDays(usage=30))
    assert (await retention.find_expired(None)).project_ids == []


async def test_a_project_under_deletion_is_left_to_its_own_workflow(database: Database) -> None:
    project_id = await make_project(database)
    await traces_from(database, project_id, 1, OLD)
    async with database.write() as db:
        await projects.mark_deleted(db, project_id)
    assert (await Retention(database, MONTH).find_expired(None)).project_ids == []
    assert (await take_turn(database, project_id, MONTH)).deleted == {}
    assert (await take_turn(database, ProjectId(uuid4()), MONTH)).deleted == {}


async def test_a_run_of_many_rows_goes_in_small_transactions(
    database: Database, project_id: ProjectId, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(write_pace, "MIN_ROWS", 3)
    monkeypatch.setattr(write_pace, "MAX_ROWS", 3)
    ids = [str(one) for one in await traces_from(database, project_id, 5, OLD)]
    await run_over(database, project_id, ids, ended=OLD)
    left: list[int] = []
    real = write_pace.WritePace.write

    async def write(self: write_pace.WritePace, work: Any) -> Any:
        made = await real(self, work)
        async with database.read() as db:
            counts = [
                await db.scalar(select(func.count()).select_from(metadata.tables[name])) or 0
                for name in ("eval_run_target", "score", "eval_run", "trace", "span")
            ]
        left.append(sum(counts))
        return made

    monkeypatch.setattr(write_pace.WritePace, "write", write)
    first = 5 + 5 + 1 + 5 + 5
    await take_turn(database, project_id, MONTH)
    steps = [before - after for before, after in zip([first, *left], left, strict=False)]
    assert left[-1] == 0
    assert max(steps) <= 4, "three rows, and the row of a run or a whole trace"
