"""What an estimate reads: pairs whose answers a run would find in the cache."""

from typing import Any

import pytest
from sqlalchemy import update
from sqlmodel import col

from core import clock
from core.db.database import Database
from core.db.tables import Trace
from core.ids import ScoreStatus
from core.queries import estimate_reads, run_pairs, run_rows
from tests.conftest import make_project
from tests.factories import new_run, new_score, store_traces

METRIC, VERSION, MODEL = "task_completion", "1f", "openai/gpt-m"
KNOWN: dict[str, Any] = {"metadata": {"metric_version": VERSION, "judge": {"model": MODEL}}}


async def known(database: Database, *, changed_later: bool = False, **score: Any) -> int:
    project_id = await make_project(database)
    [trace_id] = await store_traces(database, project_id, 1)
    async with database.write() as db:
        run = await run_rows.create(db, new_run(project_id, metric_names=[METRIC]))
        await run_pairs.record(db, [new_score(run, str(trace_id), **score)])
        if changed_later:
            await db.execute(update(Trace).values({col(Trace.updated_at): clock.now()}))
    async with database.read() as db:
        return await estimate_reads.known_pairs(
            db, project_id, [trace_id], versions={METRIC: VERSION}, model=MODEL
        )


async def test_a_pair_judged_by_this_version_and_model_is_known(sqlite: Database) -> None:
    assert await known(sqlite, **KNOWN) == 1


@pytest.mark.parametrize(
    "score",
    [
        {"metadata": {"metric_version": VERSION, "judge": {"model": "openai/gpt-a"}}},
        {"metadata": {"metric_version": VERSION, "judge": {"model": "openai/gpt-z"}}},
        {"metadata": {"metric_version": VERSION, "judge": None}},
        {"metadata": {"metric_version": "0a", "judge": {"model": MODEL}}},
        {"metadata": {"metric_version": "2b", "judge": {"model": MODEL}}},
        KNOWN | {"status": ScoreStatus.FAILED, "number": None},
        KNOWN | {"changed_later": True},
    ],
    ids=[
        *("a model before it", "a model after it", "no model"),
        *("an older version", "a newer version", "a failure", "a trace that changed since"),
    ],
)
async def test_a_pair_judged_otherwise_is_not_known(
    sqlite: Database, score: dict[str, Any]
) -> None:
    assert await known(sqlite, **score) == 0
