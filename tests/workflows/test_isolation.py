"""One pair, worker or provider never stops the others."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from temporalio.api.enums.v1 import PendingActivityState
from temporalio.client import WorkflowFailureError

from activities.judging import refusals
from core import clock
from core.db.tables import EvalRun, Worker
from core.errors import JudgeUnusable
from core.ids import RunStatus, ScoreStatus
from core.queries import run_rows, workers
from core.temporal import client as temporal_client
from evals.judges.protocol import Question
from tests.factories import store_traces
from tests.workflows.conftest import Stack
from tests.workflows.judges import Doors
from workflows.maintenance import runs as run_maintenance
from workflows.maintenance.lost_workers import LostPairs
from workflows.maintenance.runs import reconcile_run

STARTED = PendingActivityState.PENDING_ACTIVITY_STATE_STARTED


@pytest.mark.usefixtures("short_pauses")
async def test_one_trace_that_a_firewall_refuses_fails_alone(stack: Stack) -> None:
    async def firewall(question: Question[Any], times: int) -> None:
        if "order K-7" in question.trace:
            raise JudgeUnusable(
                "403: an HTML page", provider="scripted", unmistakable=False, at_once=False
            )

    stack.judges.script = firewall
    await store_traces(stack.database, stack.project_id, 1, input="Cancel order K-7.")
    async with stack.worker():
        run = await stack.post(traces=9, metric_names=["task_completion"])
        await stack.handle(run).result()
    row = await stack.row(run)
    assert (row.status, row.evaluated_count, row.failed_count) == (RunStatus.COMPLETED, 10, 1)
    [failed] = [s for s in await stack.scores(run) if s.status is ScoreStatus.FAILED]
    assert failed.reason == "403: an HTML page"


@pytest.mark.usefixtures("short_pauses")
async def test_a_provider_that_refuses_every_trace_ends_the_run(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(_question: Question[Any], _times: int) -> None:
        raise JudgeUnusable(
            "404: not found", provider="scripted", unmistakable=False, at_once=False
        )

    monkeypatch.setattr(refusals, "MIN_SECONDS", 0.0)
    stack.judges.script = refuse
    async with stack.worker():
        run = await stack.post(traces=9, metric_names=["task_completion"])
        with pytest.raises(WorkflowFailureError):
            await stack.handle(run).result()
    row = await stack.row(run)
    assert (row.status, row.error_message) == (RunStatus.FAILED, "404: not found")


@pytest.mark.usefixtures("short_pauses")
async def test_a_refusal_that_passes_fails_nothing(stack: Stack) -> None:
    async def deploying(question: Question[Any], times: int) -> None:
        if times == 1:
            raise JudgeUnusable("404", provider="scripted", unmistakable=False, at_once=False)

    stack.judges.script = deploying
    async with stack.worker():
        run = await stack.post(traces=8)
        await stack.handle(run).result()
    row = await stack.row(run)
    assert (row.status, row.failed_count) == (RunStatus.COMPLETED, 0)


async def attempt_of(stack: Stack, run: EvalRun) -> int:
    """The attempt at the run's only pair, after a worker has begun it."""
    described = await stack.handle(run).describe()
    [info] = described.raw_description.pending_activities
    return info.attempt if info.state == STARTED else 0


async def test_the_pairs_of_a_killed_worker_are_asked_again(stack: Stack) -> None:
    doors = stack.judges.script = Doors()
    address = stack.client.service_client.config.target_host
    other = replace(stack, client=await temporal_client.connect(default_address=address))
    async with stack.worker():
        run = await stack.post(traces=1, metric_names=["step_efficiency"])
        await doors.reached.wait()
        [pending] = await other.eval_runs.pending_activities(run.id)
        killed = clock.seconds_ago(60)
        async with stack.database.write() as db:
            for worker_id, seen in ((pending.worker or "", killed), ("alive", clock.now())):
                db.add(
                    Worker(
                        id=worker_id,
                        started_at=killed,
                        last_seen=seen,
                        default_model="scripted/judge",
                        providers=[],
                    )
                )
        lost = LostPairs(stack.database, stack.eval_runs)
        await lost.reclaim()
        assert await attempt_of(stack, run) == 1
        await lost.reclaim()
        async with asyncio.timeout(10):
            while await attempt_of(stack, run) < 2:
                await asyncio.sleep(0.05)
        doors.open.set()
        await stack.handle(run).result()
    [score] = await stack.scores(run)
    assert score.status is ScoreStatus.SUCCESS


async def test_a_worker_that_reports_again_loses_nothing(stack: Stack) -> None:
    async with stack.database.write() as db:
        for worker_id, seen in (("late", clock.seconds_ago(60)), ("alive", clock.now())):
            db.add(
                Worker(
                    id=worker_id,
                    started_at=clock.seconds_ago(90),
                    last_seen=seen,
                    default_model="m",
                    providers=[],
                )
            )
    lost = LostPairs(stack.database, stack.eval_runs)
    await lost.reclaim()
    async with stack.database.write() as db:
        await workers.beat(db, "late")
    await lost.reclaim()
    assert lost._reclaimed == set()


async def test_a_pair_whose_worker_is_lost_three_times_fails_with_a_reason(stack: Stack) -> None:
    doors = stack.judges.script = Doors()
    async with stack.worker():
        run = await stack.post(traces=2, metric_names=["step_efficiency"])
        await doors.reached.wait()
        deadly = (await stack.eval_runs.pending_activities(run.id))[0].activity_id
        for attempt in (1, 2, 3):
            async with asyncio.timeout(20):
                while True:
                    described = await stack.handle(run).describe()
                    pending = {
                        info.activity_id: info
                        for info in described.raw_description.pending_activities
                    }
                    info = pending[deadly]
                    started = info.state == STARTED
                    if info.attempt == attempt and started:
                        break
                    await asyncio.sleep(0.05)
            [activity] = [
                one
                for one in await stack.eval_runs.pending_activities(run.id)
                if one.activity_id == deadly
            ]
            await stack.eval_runs.fail_attempt(activity, "The worker was killed.")
        async with asyncio.timeout(20):
            while not await stack.scores(run):
                await asyncio.sleep(0.05)
        doors.open.set()
        await stack.handle(run).result()
    reasons = sorted(score.reason or "" for score in await stack.scores(run))
    assert len([reason for reason in reasons if reason.startswith("Gave up after 3")]) == 1
    assert (await stack.row(run)).failed_count == 1


async def test_a_run_whose_workflow_cannot_act_on_its_cancellation_is_ended(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_maintenance, "STUCK_SECONDS", 0.0)
    # No worker, so the workflow does not act.
    run = await stack.post(traces=1, wait_seconds=0)
    async with stack.database.write() as db:
        await run_rows.request_cancel(db, stack.project_id, run.id)
    await reconcile_run(stack.database, stack.eval_runs, await stack.row(run))
    row = await stack.row(run)
    assert (row.status, row.error_message) == (RunStatus.FAILED, run_rows.CANCELLED)
