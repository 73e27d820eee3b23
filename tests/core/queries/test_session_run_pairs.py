"""The signals of a session run count in its usage and in nothing else."""

import pytest

from core.db.database import Database
from core.db.tables import EvalRun
from core.errors import Invalid
from core.ids import ProjectId, RunStatus, ScoreStatus, TargetType
from core.queries import run_pairs, run_retry, run_rows, run_sampling, score_reads
from core.usage import Usage
from tests.factories import end_run, new_run, new_score, store_traces

METRICS = ["agent_consistency", "agent_reliability"]


async def judged(database: Database, project_id: ProjectId) -> EvalRun:
    """A session run whose first pair failed, with failed and successful signals."""
    ids = await store_traces(database, project_id, 2, session_id="s")
    run = new_run(
        project_id,
        target_type=TargetType.SESSION,
        metric_names=METRICS,
        signal_weights={"coherence": 0.5},
    )
    async with database.write() as db:
        row = await run_rows.create(db, run)
        await run_sampling.freeze(db, row, await run_sampling.draw(db, row))
        signal = {"target_type": TargetType.TRACE, "metric": "confidence", "usage": Usage(calls=1)}
        failed = {"status": ScoreStatus.FAILED, "number": None}
        await run_pairs.record(
            db,
            [
                new_score(row, str(ids[0]), **signal),
                new_score(row, str(ids[1]), **(signal | failed)),
                new_score(row, "s", metric=METRICS[0], **failed),
                new_score(row, "s", metric=METRICS[1]),
            ],
        )
    return row


async def test_signals_are_paid_for_and_not_counted(
    database: Database, project_id: ProjectId
) -> None:
    run = await judged(database, project_id)
    async with database.write() as db:
        row = await run_rows.finish(
            db, project_id, run.id, status=RunStatus.COMPLETED, error_message=None
        )
    assert row is not None
    assert (row.status, row.total_targets) == (RunStatus.COMPLETED, 1)
    assert (row.evaluated_count, row.failed_count) == (1, 1)
    assert row.usage is not None
    assert row.usage["judge_calls"] == 2


async def test_a_session_runs_scores_are_those_of_sessions(
    database: Database, project_id: ProjectId
) -> None:
    run = await judged(database, project_id)
    async with database.read() as db:
        found = await score_reads.of_run(db, project_id, run, after=None, limit=10)
        [target] = await run_pairs.of_targets(db, project_id, run, first=0, last=5)
    assert [(s.target_id, s.name) for s in found] == [("s", metric) for metric in METRICS]
    assert (target.metrics, target.failed) == ([], 1)


async def test_a_retry_names_its_sessions_and_keeps_the_weights(
    database: Database, project_id: ProjectId
) -> None:
    run = await judged(database, project_id)
    await end_run(database, project_id, run.id)
    async with database.write() as db:
        new = await run_retry.create(db, project_id, run.id)
        assert await run_sampling.freeze(db, new, await run_sampling.draw(db, new)) == 1
    assert new.target_type is TargetType.SESSION
    assert new.metric_names == METRICS[:1]
    assert new.filters == {"retry_of": str(run.id), "session_ids": ["s"]}
    assert new.signal_weights == {"coherence": 0.5}


async def test_failed_signals_alone_leave_nothing_to_retry(
    database: Database, project_id: ProjectId
) -> None:
    run = await judged(database, project_id)
    async with database.write() as db:
        row = await run_rows.lock(db, project_id, run.id)
        row.metric_names = METRICS[1:]
    await end_run(database, project_id, run.id)
    with pytest.raises(Invalid):
        async with database.write() as db:
            await run_retry.create(db, project_id, run.id)
