"""The usage of deleted scores stays in reports and in the budget of the month."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from core.db.database import Database
from core.db.tables import EvalRun, metadata
from core.ids import ProjectId
from core.queries import budget_accounts, run_pairs, run_rows, trace_edits, usage
from core.queries.usage import UsageGroup, UsageGrouping
from core.usage import Usage
from tests.factories import make_monitor, new_run, new_score, store_traces

LAST = datetime(2026, 10, 31, 23, 59, 59, tzinfo=UTC)


async def judged(database: Database, project_id: ProjectId) -> tuple[list[EvalRun], list[Any]]:
    """Two runs over the same three traces; the second run's scores were made a second later."""
    ids = await store_traces(database, project_id, 3)
    monitor = await make_monitor(database, project_id)
    usages = [
        Usage(calls=2, prompt_tokens=100, completion_tokens=7, cost_usd=0.25, repair_calls=1),
        Usage(cached_calls=3, cost_usd=0.0),
        Usage(calls=1, prompt_tokens=10, completion_tokens=1, cost_usd=0.5),
    ]
    runs = []
    for model, monitor_id in (("offline/rules", None), ("other/model", monitor.id)):
        async with database.write() as db:
            run = await run_rows.create(db, new_run(project_id, model=model, monitor_id=monitor_id))
            await run_pairs.record(
                db,
                [
                    new_score(run, str(one), usage=spent)
                    for one, spent in zip(ids, usages, strict=True)
                ],
            )
        runs.append(run)
    score = metadata.tables["score"]
    async with database.write() as db:
        for run, moment in zip(runs, (LAST, LAST + timedelta(seconds=1)), strict=True):
            await db.execute(
                score.update().where(score.c.eval_run_id == run.id).values(created_at=moment)
            )
    return runs, ids


async def report(
    database: Database, project_id: ProjectId, grouping: UsageGrouping, **period: Any
) -> list[UsageGroup]:
    async with database.read() as db:
        return await usage.grouped(
            db, project_id, grouping, **({"start": None, "end": None} | period)
        )


@pytest.mark.parametrize("grouping", UsageGrouping)
async def test_deleting_traces_changes_no_report(
    database: Database, project_id: ProjectId, grouping: UsageGrouping
) -> None:
    _, ids = await judged(database, project_id)
    before = await report(database, project_id, grouping)
    assert sum(group.judge_calls for group in before) == 6
    for trace_id in ids:  # one after the other, so that the sums of a day are added up
        async with database.write() as db:
            await trace_edits.remove(db, project_id, [trace_id])
        assert await report(database, project_id, grouping) == before


@pytest.mark.slow
@pytest.mark.parametrize("grouping", UsageGrouping)
async def test_deleting_runs_only_takes_their_names(
    database: Database, project_id: ProjectId, grouping: UsageGrouping
) -> None:
    runs, _ = await judged(database, project_id)
    before = await report(database, project_id, grouping)
    for run in runs:
        async with database.write() as db:
            await run_rows.remove(db, project_id, run.id, delete_scores=True)
    after = await report(database, project_id, grouping)
    if grouping is UsageGrouping.RUN:
        assert [group.group for group in after] == [None]
        assert after[0].judge_calls == sum(group.judge_calls for group in before)
    else:
        assert after == before


@pytest.mark.slow
async def test_a_deleted_day_counts_if_it_begins_in_the_period(
    database: Database, project_id: ProjectId
) -> None:
    runs, _ = await judged(database, project_id)
    for run in runs:
        async with database.write() as db:
            await run_rows.remove(db, project_id, run.id, delete_scores=True)
    midnight = LAST + timedelta(seconds=1)

    async def days(**period: datetime) -> list[str | None]:
        found = await report(database, project_id, UsageGrouping.DAY, **period)
        return [group.group for group in found]

    assert await days() == ["2026-10-31", "2026-11-01"]
    assert await days(start=midnight) == ["2026-11-01"]
    assert await days(end=midnight) == ["2026-10-31"]
    assert await days(start=midnight + timedelta(seconds=1)) == []
    assert await days(end=midnight + timedelta(seconds=1)) == ["2026-10-31", "2026-11-01"]


async def test_an_unknown_price_stays_unknown(database: Database, project_id: ProjectId) -> None:
    [trace_id] = await store_traces(database, project_id, 1)
    async with database.write() as db:
        run = await run_rows.create(db, new_run(project_id))
        spent = Usage(calls=1, prompt_tokens=1, cost_usd=None)
        await run_pairs.record(db, [new_score(run, str(trace_id), usage=spent)])
        await trace_edits.remove(db, project_id, [trace_id])
    [group] = await report(database, project_id, UsageGrouping.METRIC)
    assert (group.judge_calls, group.cost_usd, group.saved_usd) == (1, None, None)


async def test_annotations_cost_nothing(database: Database, project_id: ProjectId) -> None:
    _, ids = await judged(database, project_id)
    score = metadata.tables["score"]
    async with database.write() as db:
        await db.execute(score.update().values(source="ANNOTATION"))
        await trace_edits.remove(db, project_id, ids)
    assert await report(database, project_id, UsageGrouping.DAY) == []


async def test_the_budget_of_a_month_counts_deleted_scores(
    database: Database, project_id: ProjectId
) -> None:
    _, ids = await judged(database, project_id)
    account = metadata.tables["budget_account"]
    async with database.write() as db:
        await trace_edits.remove(db, project_id, ids[:1])
        for month in ("2026-10", "2026-11"):
            await budget_accounts.open_for_month(db, project_id, month)
        for month in ("2026-10", "2026-11"):
            key = budget_accounts.month_id(project_id, month)
            found = await db.execute(account.select().where(account.c.id == key))
            assert found.one().committed_cost == 0.75 * 10**12, month
