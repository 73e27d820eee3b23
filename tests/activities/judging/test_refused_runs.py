"""A provider that refuses every call stops the run, whatever else happens between the refusals."""

from collections.abc import AsyncIterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.error_translation import RUN_STOPPED
from activities.judging import refusals
from activities.judging.trace_processes import TraceProcesses
from activities.judging.traces import TraceJudging
from activities.judging.write_buffer import WriteBuffer
from activities.open_pairs import PairLister
from activities.pairs import Pairs
from activities.payloads import PairEnd, PairRef, RunRef
from core.db.database import Database
from core.db.tables import EvalRun
from core.errors import JudgeUnusable
from core.ids import ProjectId
from core.queries import run_rows
from evals.judges.protocol import Question
from tests.conftest import make_project
from tests.factories import new_run, store_traces
from tests.workflows.judges import ScriptedJudges

pytestmark = pytest.mark.slow

METRICS = ["task_completion", "argument_correctness"]
TRACES = 6


@pytest.fixture
def judges() -> ScriptedJudges:
    return ScriptedJudges()


@pytest.fixture
async def pairs(sqlite: Database, judges: ScriptedJudges) -> AsyncIterator[Pairs]:
    async with WriteBuffer(sqlite) as buffer, TraceProcesses() as processes:
        judging = TraceJudging(sqlite, judges, buffer, processes)
        async with judging.budgets:
            yield Pairs(sqlite, judging, PairLister(sqlite))


@pytest.fixture
def seconds(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [0.0]
    monkeypatch.setattr(refusals, "time", SimpleNamespace(monotonic=lambda: now[0]))
    return now


@pytest.fixture
async def project(sqlite: Database) -> ProjectId:
    return await make_project(sqlite)


async def post(database: Database, project: ProjectId) -> EvalRun:
    made = new_run(project, metric_names=METRICS, model="s/j", bundle=False)
    async with database.write() as db:
        return await run_rows.create(db, made)


async def judge(
    pairs: Pairs, run: EvalRun, trace_id: UUID, metric: str, refused: int = 0
) -> PairEnd:
    """`refused`: the number of earlier attempts that the provider refused."""
    ref = PairRef(RunRef(run.project_id, run.id), str(trace_id), metric)
    environment = ActivityEnvironment()
    if refused:
        details = {"refusals": refused, "reported_attempt": refused}
        environment.info = replace(
            environment.info, attempt=refused + 1, heartbeat_details=[details]
        )
    return await environment.run(pairs.judge_pair, ref)


async def refuse(question: Question[Any], _times: int) -> None:
    if question.stage == "task_completion":
        raise JudgeUnusable("401", provider="scripted", unmistakable=False, at_once=False)


async def refusals_of(
    pairs: Pairs, run: EvalRun, traces: list[UUID], seconds: list[float]
) -> list[str | None]:
    """The error of each pair of the first metric; a pair of the second metric follows each."""
    errors: list[str | None] = []
    for trace_id in traces:
        seconds[0] += 2.0
        with pytest.raises(ApplicationError) as caught:
            await judge(pairs, run, trace_id, METRICS[0])
        errors.append(caught.value.type)
        assert await judge(pairs, run, trace_id, METRICS[1]) is PairEnd.SCORED
    return errors


async def test_pairs_that_are_not_applicable_do_not_hide_a_refused_run(
    sqlite: Database,
    project: ProjectId,
    pairs: Pairs,
    judges: ScriptedJudges,
    seconds: list[float],
) -> None:
    run = await post(sqlite, project)
    traces = await store_traces(sqlite, project, TRACES, spans=[])
    judges.script = refuse
    errors = await refusals_of(pairs, run, traces, seconds)
    assert judges.asked.total() == TRACES
    assert RUN_STOPPED in errors


async def test_recalled_answers_do_not_hide_a_refused_run(
    sqlite: Database,
    project: ProjectId,
    pairs: Pairs,
    judges: ScriptedJudges,
    seconds: list[float],
) -> None:
    run = await post(sqlite, project)
    traces = await store_traces(sqlite, project, TRACES)
    earlier = await post(sqlite, project)
    for trace_id in traces:
        await judge(pairs, earlier, trace_id, METRICS[1])
    judges.script = refuse
    assert RUN_STOPPED in await refusals_of(pairs, run, traces, seconds)


async def test_answers_of_the_judge_keep_a_run_with_refused_traces_going(
    sqlite: Database,
    project: ProjectId,
    pairs: Pairs,
    judges: ScriptedJudges,
    seconds: list[float],
) -> None:
    run = await post(sqlite, project)
    traces = await store_traces(sqlite, project, TRACES)
    judges.script = refuse
    errors = await refusals_of(pairs, run, traces, seconds)
    assert RUN_STOPPED not in errors


async def deny(question: Question[Any], _times: int) -> None:
    if question.stage == "task_completion":
        raise JudgeUnusable("403: not authorized", provider="scripted", at_once=False)


async def test_one_trace_that_a_firewall_refuses_in_words_stops_nothing(
    sqlite: Database, project: ProjectId, pairs: Pairs, judges: ScriptedJudges
) -> None:
    run = await post(sqlite, project)
    bad, good, *_ = await store_traces(sqlite, project, 2)
    judges.script = deny
    for refused in range(3):
        with pytest.raises(ApplicationError) as caught:
            await judge(pairs, run, bad, METRICS[0], refused)
        assert caught.value.type == "JudgeRefused"
        assert await judge(pairs, run, good, METRICS[1]) is PairEnd.SCORED
    assert await judge(pairs, run, bad, METRICS[0], 3) is PairEnd.FAILED


async def test_words_about_every_call_stop_a_run_of_one_trace_in_the_end(
    sqlite: Database, project: ProjectId, pairs: Pairs, judges: ScriptedJudges
) -> None:
    run = await post(sqlite, project)
    [only] = await store_traces(sqlite, project, 1)
    judges.script = deny
    found = []
    for refused in range(4):
        with pytest.raises(ApplicationError) as caught:
            await judge(pairs, run, only, METRICS[0], refused)
        found.append(caught.value.type)
    assert found == ["JudgeRefused"] * 3 + [RUN_STOPPED]


async def test_words_about_every_call_stop_a_larger_run_at_the_third_trace(
    sqlite: Database, project: ProjectId, pairs: Pairs, judges: ScriptedJudges
) -> None:
    run = await post(sqlite, project)
    judges.script = deny
    found = []
    for trace_id in await store_traces(sqlite, project, 3):
        with pytest.raises(ApplicationError) as caught:
            await judge(pairs, run, trace_id, METRICS[0])
        found.append(caught.value.type)
    assert found == ["JudgeRefused"] * 2 + [RUN_STOPPED]
