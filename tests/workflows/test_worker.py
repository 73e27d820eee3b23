"""Work of a worker besides judging."""

import asyncio
from datetime import datetime
from typing import Any

import pytest
from temporalio.client import Client, WorkflowFailureError

import worker
from core import clock
from core.db.tables import EvalRun
from core.errors import Misconfigured
from core.ids import RunStatus
from core.periodic import repeating
from core.queries import run_rows, workers
from core.settings import Settings
from core.telemetry import log_ids
from core.telemetry.serving_state import ServingState
from core.temporal.first_connection import connected
from core.temporal.process_identity import process_identity
from tests.factories import new_run, store_traces
from tests.workflows.conftest import METRICS, Stack
from tests.workflows.judges import Doors
from workflows.maintenance import presence as presence_of_worker
from workflows.maintenance import runs as run_maintenance
from workflows.maintenance.ownership import check_ownership
from workflows.maintenance.presence import presence
from workflows.maintenance.runs import RunReconciliation, reconcile_run
from workflows.workflow_state import WorkflowState


async def row_without_workflow(stack: Stack) -> EvalRun:
    await store_traces(stack.database, stack.project_id, 1)
    async with stack.database.write() as db:
        run = new_run(stack.project_id, metric_names=METRICS, model="scripted/judge")
        row = await run_rows.create(db, run)
        row.admitted_at = clock.seconds_ago(60)
        return row


async def test_a_run_whose_workflow_was_never_started_is_started(stack: Stack) -> None:
    run = await row_without_workflow(stack)
    assert await stack.eval_runs.existence(run.id) is WorkflowState.ABSENT
    async with stack.worker():
        await reconcile_run(stack.database, stack.eval_runs, run)
        await stack.handle(run).result()
    assert (await stack.row(run)).status is RunStatus.COMPLETED


async def test_a_run_that_temporal_has_lost_goes_on_where_it_was(stack: Stack) -> None:
    run = await row_without_workflow(stack)
    async with stack.database.write() as db:
        await run_rows.begin(db, stack.project_id, run.id)
    async with stack.worker():
        await reconcile_run(stack.database, stack.eval_runs, await stack.row(run))
        await stack.handle(run).result()
    assert (await stack.row(run)).status is RunStatus.COMPLETED
    assert len(await stack.scores(run)) == len(METRICS)


async def test_a_run_whose_workflow_was_terminated_ends_failed_with_advice(stack: Stack) -> None:
    doors = stack.judges.script = Doors()
    async with stack.worker():
        run = await stack.post(traces=1)
        await doors.reached.wait()
        await reconcile_run(stack.database, stack.eval_runs, await stack.row(run))
        assert (await stack.row(run)).status is RunStatus.RUNNING
        await stack.handle(run).terminate()
        with pytest.raises(WorkflowFailureError):
            await stack.handle(run).result()
        await reconcile_run(stack.database, stack.eval_runs, await stack.row(run))
        doors.open.set()
    row = await stack.row(run)
    assert row.status is RunStatus.FAILED
    assert "retry the run" in (row.error_message or "")
    assert await stack.scores(run) == []


async def test_runs_are_reconciled_periodically(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_maintenance, "RECONCILE_SECONDS", 0.05)
    run = await row_without_workflow(stack)
    pages = RunReconciliation(stack.database, stack.eval_runs)
    reconciling = repeating(pages.next_page, every=0.05)
    async with stack.worker(), reconciling:
        async with asyncio.timeout(30):
            while (await stack.row(run)).status is not RunStatus.COMPLETED:
                await asyncio.sleep(0.05)


async def polled() -> set[str]:
    return {process_identity()}


async def test_a_worker_is_known_while_it_serves_and_gone_afterwards(stack: Stack) -> None:
    async with presence(stack.database, stack.judges, polled):
        async with stack.database.read() as db:
            offer = await workers.offered(db)
        assert offer.default_model == "scripted/judge"
        assert [row.key for row in offer.providers] == ["scripted"]
    async with stack.database.read() as db:
        assert not (await workers.offered(db)).seen


async def test_a_worker_beats_so_that_its_sudden_end_is_noticed(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "BEAT_SECONDS", 0.05)

    async def last_seen() -> datetime:
        async with stack.database.read() as db:
            seen = await workers.last_seen(db)
        assert seen is not None
        return seen

    async with presence(stack.database, stack.judges, polled):
        first = await last_seen()
        async with asyncio.timeout(5):
            while await last_seen() == first:
                await asyncio.sleep(0.02)


@pytest.mark.slow
async def test_a_worker_waits_for_a_temporal_that_is_not_up_yet() -> None:
    stop = asyncio.Event()
    settings = Settings.model_validate({"temporal_port": 1})
    waiting = asyncio.create_task(connected(settings, stop))
    await asyncio.sleep(0.5)
    assert not waiting.done()
    stop.set()
    assert await asyncio.wait_for(waiting, 30) is None


async def test_the_runs_of_another_temporal_are_left_to_it(stack: Stack) -> None:
    run = await row_without_workflow(stack)
    namespace = await stack.eval_runs.namespace()
    assert namespace.startswith("default (")
    async with stack.database.write() as db:
        (await run_rows.lock(db, stack.project_id, run.id)).temporal_namespace = "default (lost)"
    await RunReconciliation(stack.database, stack.eval_runs).next_page()
    assert await stack.eval_runs.existence(run.id) is WorkflowState.ABSENT
    with pytest.raises(Misconfigured, match=r"^1 run .* default \(lost\), .*ASSAY_ADOPT_RUNS"):
        await check_ownership(stack.database, namespace, adopt=False)
    await check_ownership(stack.database, namespace, adopt=True)
    await check_ownership(stack.database, namespace, adopt=False)
    await RunReconciliation(stack.database, stack.eval_runs).next_page()
    assert await stack.eval_runs.existence(run.id) is WorkflowState.OPEN


async def test_a_worker_does_not_start_beside_the_runs_of_another_temporal(stack: Stack) -> None:
    run = await row_without_workflow(stack)
    async with stack.database.write() as db:
        (await run_rows.lock(db, stack.project_id, run.id)).temporal_namespace = "default (lost)"
    settings = Settings.model_validate({"task_queue": stack.task_queue})
    with pytest.raises(Misconfigured, match="belong to the Temporal namespace"):
        await worker.serve(settings, stack.database, stack.judges, stack.client, asyncio.Event())


async def test_runs_behind_a_full_page_and_behind_a_run_that_raises_are_seen(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = [await row_without_workflow(stack) for _ in range(3)]
    seen: list[object] = []

    async def reconcile(_database: object, _eval_runs: object, row: EvalRun) -> None:
        seen.append(row.id)
        if len(seen) == 1:
            raise ValueError("an error that nobody foresaw")

    monkeypatch.setattr(run_maintenance, "reconcile_run", reconcile)
    pages = RunReconciliation(stack.database, stack.eval_runs, page_size=2)
    for _ in range(3):
        await pages.next_page()
    oldest_first = [run.id for run in runs]
    assert seen == [*oldest_first, *oldest_first[:2]]


async def test_lines_about_a_run_that_cannot_be_reconciled_carry_its_ids(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = await row_without_workflow(stack)
    known = list[dict[str, str]]()

    async def reconcile(*_: object) -> None:
        known.append(log_ids.known())

    monkeypatch.setattr(run_maintenance, "reconcile_run", reconcile)
    await RunReconciliation(stack.database, stack.eval_runs).next_page()
    assert known == [{"project_id": str(run.project_id), "run_id": str(run.id)}]


async def test_a_worker_that_temporal_does_not_hear_from_cannot_be_given_work(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presence_of_worker, "PUBLISH_SECONDS", 0.05)
    monkeypatch.setattr(workers, "POLLED_WITHIN_SECONDS", 0.2)
    heard: set[str] = set()

    async def pollers() -> set[str]:
        return heard

    async def seen() -> list[str]:
        async with stack.database.read() as db:
            return [one.id for one in await workers.seen_lately(db)]

    state = ServingState()
    async with presence(stack.database, stack.judges, pollers, state=state):
        assert state.fault() == "Temporal has not seen this worker poll yet."
        async with asyncio.timeout(10):
            while await seen():
                await asyncio.sleep(0.05)
        heard.add(process_identity())
        async with asyncio.timeout(10):
            while not await seen() or state.fault():
                await asyncio.sleep(0.05)
    assert state.fault() == "The worker starts or stops."


async def test_a_worker_that_only_beats_still_serves(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "BEAT_SECONDS", 0.05)
    seconds = 0.0
    state = ServingState(lambda: seconds)
    async with presence(stack.database, stack.judges, polled, state=state):
        assert state.fault() is None
        seconds = 100.0
        assert "The database has not taken a report" in str(state.fault())
        async with asyncio.timeout(5):
            while state.fault():
                await asyncio.sleep(0.02)


async def test_temporal_says_which_workers_ask_it_for_work(stack: Stack) -> None:
    assert await stack.eval_runs.pollers(within_seconds=5) == set()
    async with stack.worker(), asyncio.timeout(20):
        while process_identity() not in await stack.eval_runs.pollers(within_seconds=5):
            await asyncio.sleep(0.1)


async def test_workers_with_different_rates_are_told_of_each_other(
    stack: Stack, caplog: pytest.LogCaptureFixture
) -> None:
    async with stack.database.write() as db:
        await workers.publish(
            db,
            worker_id="other",
            started_at=clock.now(),
            default_model="m",
            providers=[],
        )
        await workers.publish_rate(db, "other", 5.0)
    async with presence(stack.database, stack.judges, polled, judge_max_per_second=5.0):
        assert not [line for line in caplog.messages if "ASSAY_JUDGE_MAX_PER_SECOND" in line]
    async with presence(stack.database, stack.judges, polled, judge_max_per_second=9.0):
        [message] = [line for line in caplog.messages if "ASSAY_JUDGE_MAX_PER_SECOND" in line]
    assert message.startswith("other set another ASSAY_JUDGE_MAX_PER_SECOND")


async def test_the_queues_of_all_providers_drain_at_once_and_bookkeeping_last(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    queues = [f"{stack.task_queue}-judge", f"{stack.task_queue}-judge-scripted"]
    draining = asyncio.Barrier(len(queues))
    drained: list[str] = []

    class Recorder:
        def __init__(self, _client: Client, *, task_queue: str, **_options: Any) -> None:
            self._queue = task_queue

        async def __aenter__(self) -> None: ...

        async def __aexit__(self, *_error: object) -> None:
            if self._queue in queues:
                await asyncio.wait_for(draining.wait(), 10)
            drained.append(self._queue)

    monkeypatch.setattr(worker, "Worker", Recorder)
    async with stack.worker():
        pass
    assert sorted(drained[:-1]) == sorted(queues)
    assert drained[-1] == stack.task_queue
