import pytest

from core.db.database import Database
from core.db.tables import EvalRun
from core.errors import Conflict, Invalid, NotFound
from core.ids import ProjectId, RunStatus, ScoreStatus
from core.queries import run_pairs, run_retry, run_rows, run_sampling
from core.usage import Usage
from tests.conftest import make_project
from tests.factories import new_run, new_score, store_traces

METRICS = ["task_completion", "tool_correctness"]


async def run_over(database: Database, project_id: ProjectId, traces: int) -> EvalRun:
    await store_traces(database, project_id, traces)
    async with database.write() as db:
        run = await run_rows.create(db, new_run(project_id, metric_names=METRICS))
        await run_sampling.freeze(db, run, await run_sampling.draw(db, run))
    return run


async def target_ids(database: Database, run: EvalRun) -> list[str]:
    async with database.read() as db:
        found = await run_pairs.of_targets(db, ProjectId(run.project_id), run, first=0, last=99)
    return [target.target_id for target in found]


async def end(database: Database, run: EvalRun, status: RunStatus = RunStatus.COMPLETED) -> EvalRun:
    async with database.write() as db:
        row = await run_rows.finish(
            db, ProjectId(run.project_id), run.id, status=status, error_message=None
        )
    assert row is not None
    return row


async def test_scored_pairs_are_no_longer_open(database: Database, project_id: ProjectId) -> None:
    run = await run_over(database, project_id, 2)
    first, second = await target_ids(database, run)
    async with database.write() as db:
        await run_pairs.record(
            db,
            [
                new_score(run, first, metric=METRICS[0]),
                new_score(run, second, metric=METRICS[1], status=ScoreStatus.FAILED, number=None),
            ],
        )
    async with database.read() as db:
        found = await run_pairs.of_targets(db, project_id, run, first=0, last=1)
    assert [(t.metrics, t.failed) for t in found] == [([METRICS[1]], 0), ([METRICS[0]], 1)]


async def test_the_first_score_of_a_pair_wins(database: Database, project_id: ProjectId) -> None:
    run = await run_over(database, project_id, 1)
    [target] = await target_ids(database, run)
    for number in (0.25, 0.75):
        async with database.write() as db:
            await run_pairs.record(db, [new_score(run, target, number=number)])
    async with database.write() as db:
        await run_pairs.record(db, [new_score(run, target, status=ScoreStatus.FAILED, number=None)])
    async with database.read() as db:
        status = await run_pairs.status_of(
            db, project_id, run.id, target_id=target, metric=METRICS[0]
        )
    assert status is ScoreStatus.SUCCESS
    assert (await end(database, run)).failed_count == 0


async def test_nothing_is_recorded_once_cancel_was_asked_for(
    database: Database, project_id: ProjectId
) -> None:
    run = await run_over(database, project_id, 1)
    [target] = await target_ids(database, run)
    async with database.write() as db:
        await run_rows.request_cancel(db, project_id, run.id)
    async with database.write() as db:
        assert await run_pairs.record(db, [new_score(run, target)]) == set()
    async with database.read() as db:
        assert (await run_rows.counts(db, project_id, run)).evaluated == 0


async def test_nothing_is_recorded_for_a_run_that_is_over_or_gone(
    database: Database, project_id: ProjectId
) -> None:
    over = await run_over(database, project_id, 1)
    [target] = await target_ids(database, over)
    await end(database, over)
    gone = await run_over(database, project_id, 0)
    async with database.write() as db:
        await run_rows.remove(db, project_id, gone.id, delete_scores=False)
    async with database.write() as db:
        assert (
            await run_pairs.record(db, [new_score(over, target), new_score(gone, target)]) == set()
        )


async def test_counts_come_from_the_rows(database: Database, project_id: ProjectId) -> None:
    run = await run_over(database, project_id, 3)
    first, second, _ = await target_ids(database, run)
    repaired = Usage(calls=2, cost_usd=0.5, repair_calls=1, repair_cost_usd=0.2)
    async with database.write() as db:
        await run_pairs.record(
            db,
            [
                new_score(run, first, metric=METRICS[0], usage=repaired),
                new_score(run, first, metric=METRICS[1], usage=Usage(calls=1, cost_usd=0.25)),
                new_score(run, second, metric=METRICS[0], status=ScoreStatus.FAILED, number=None),
            ],
        )
    row = await end(database, run)
    assert (row.total_targets, row.evaluated_count, row.failed_count) == (3, 1, 1)
    assert row.usage == {
        "judge_calls": 3,
        "cached_calls": 0,
        "prompt_tokens": 0,
        "completion_tokens": 0,
        "cost_usd": 0.75,
        "repair_calls": 1,
        "repair_cost_usd": 0.2,
    }


async def test_one_unknown_price_leaves_the_cost_of_the_run_unknown(
    database: Database, project_id: ProjectId
) -> None:
    run = await run_over(database, project_id, 2)
    first, second = await target_ids(database, run)
    async with database.write() as db:
        await run_pairs.record(
            db,
            [
                new_score(run, first, usage=Usage(calls=1, cost_usd=0.5)),
                new_score(run, second, usage=Usage(calls=1, cost_usd=None)),
            ],
        )
    row = await end(database, run)
    assert row.usage is not None
    assert row.usage["cost_usd"] is None


async def test_a_retry_takes_exactly_the_pairs_without_success(
    database: Database, project_id: ProjectId
) -> None:
    run = await run_over(database, project_id, 2)
    first, second = await target_ids(database, run)
    async with database.write() as db:
        await run_pairs.record(
            db,
            [
                new_score(run, first, metric=METRICS[0]),
                new_score(run, first, metric=METRICS[1], status=ScoreStatus.FAILED, number=None),
                new_score(run, second, metric=METRICS[0]),
                new_score(run, second, metric=METRICS[1]),
            ],
        )
    await end(database, run)
    async with database.write() as db:
        retry = await run_retry.create(db, project_id, run.id)
        await run_sampling.freeze(db, retry, await run_sampling.draw(db, retry))
    async with database.read() as db:
        found = await run_pairs.of_targets(db, project_id, retry, first=0, last=9)
    assert [(t.target_id, t.metrics) for t in found] == [(first, [METRICS[1]])]
    assert retry.metric_names == [METRICS[1]]
    assert retry.filters == {"retry_of": str(run.id), "trace_ids": [first]}
    assert retry.name == f"Retry: {run.id}"
    async with database.write() as db:
        await run_pairs.record(db, [new_score(retry, first, metric=METRICS[1])])
    assert (await end(database, retry)).evaluated_count == 1


async def test_a_retry_of_a_stopped_run_takes_what_was_never_judged_too(
    database: Database, project_id: ProjectId
) -> None:
    run = await run_over(database, project_id, 2)
    first, second = await target_ids(database, run)
    async with database.write() as db:
        await run_pairs.record(db, [new_score(run, first, metric=METRICS[0])])
    await end(database, run, RunStatus.FAILED)
    async with database.write() as db:
        retry = await run_retry.create(db, project_id, run.id)
    async with database.read() as db:
        found = await run_pairs.of_targets(db, project_id, retry, first=0, last=9)
    assert [(t.target_id, t.metrics) for t in found] == [(first, [METRICS[1]]), (second, METRICS)]


async def test_what_cannot_be_retried_says_why(database: Database, project_id: ProjectId) -> None:
    run = await run_over(database, project_id, 1)
    other = await make_project(database, "other")
    async with database.write() as db:
        with pytest.raises(Conflict, match="still open"):
            await run_retry.create(db, project_id, run.id)
        with pytest.raises(NotFound):
            await run_retry.create(db, other, run.id)
    [target] = await target_ids(database, run)
    async with database.write() as db:
        await run_pairs.record(db, [new_score(run, target, metric=metric) for metric in METRICS])
    await end(database, run)
    async with database.write() as db:
        with pytest.raises(Invalid, match="no failed pairs"):
            await run_retry.create(db, project_id, run.id)


async def test_what_others_have_left_counts_the_other_runs_of_the_project_alone(
    database: Database, project_id: ProjectId
) -> None:
    async with database.write() as db:
        mine = await run_rows.create(db, new_run(project_id))
    other = await run_over(database, project_id, 3)
    over = await run_over(database, project_id, 0)
    stranger = await run_over(database, await make_project(database, "other"), 2)
    [first, *_] = await target_ids(database, other)
    async with database.write() as db:
        await run_pairs.record(db, [new_score(other, first, metric=METRICS[0])])
    await end(database, over, RunStatus.FAILED)
    async with database.read() as db:
        assert await run_pairs.left_in_others(db, mine.id) == 5
        assert await run_pairs.left_in_others(db, other.id) == 0
        assert await run_pairs.left_in_others(db, stranger.id) == 0
