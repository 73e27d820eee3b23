"""A run without progress shows the reason, over HTTP and on the page of its workflow."""

import asyncio
import re
import shutil
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from temporalio import workflow
from temporalio.worker import Worker

from activities.diagnostics import pairs_of_others
from core import clock
from core.db.database import Database
from core.db.tables import EvalRun
from core.errors import JudgeBusy
from core.ids import RunStatus
from core.periodic import repeating
from core.queries import run_rows
from core.run_spec import RunSpec
from core.settings import Settings
from core.temporal import client as temporal_client
from core.temporal import run_activity
from evals.judges.protocol import Question
from tests.api.conftest import Service, provider, serve
from tests.workflows.conftest import Stack
from tests.workflows.judges import Doors
from workflows import run_client, stall_watch
from workflows.inputs import EvalRunInput
from workflows.maintenance import runs as maintenance
from workflows.maintenance.runs import reconcile_run
from workflows.maintenance.stalled_runs import StalledRuns
from workflows.maintenance_client import MaintenanceClient
from workflows.start_options import run_options
from workflows.workflow_state import WorkflowState

AT = r"\d\d:\d\d:\d\d UTC"


@pytest.fixture
async def service(stack: Stack, sqlite_url: str, tmp_path: Path) -> AsyncIterator[Service]:
    """The API over the same database and Temporal."""
    settings = Settings(_env_file=None, home=tmp_path, task_queue=stack.task_queue)
    async for made in serve(sqlite_url, settings):
        over(made, stack)
        yield made


def over(service: Service, stack: Stack) -> None:
    runs = MaintenanceClient(
        stack.client,
        task_queue=stack.task_queue,
        pairs_of_others=pairs_of_others(stack.database),
    )
    service.app.state.stack = replace(service.stack, runs=runs)


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shortens the time before an inspection."""
    monkeypatch.setattr(stall_watch, "STILL_SECONDS", 0.1)
    monkeypatch.setattr(run_activity, "LONG", run_activity.LONG / 10)


async def activity(service: Service, run: EvalRun) -> str:
    began = time.monotonic()
    answer = await service.client.get(f"/evaluations/trace-runs/{run.id}")
    assert answer.status_code == 200, answer.text
    assert time.monotonic() - began < 2
    said: str | None = answer.json()["activity"]
    return said or ""


async def until_it_says(service: Service, run: EvalRun, pattern: str) -> str:
    async with asyncio.timeout(30):
        while not re.search(pattern, said := await activity(service, run)):
            await asyncio.sleep(0.1)
    return said


async def until_its_page_says(stack: Stack, run: EvalRun, pattern: str) -> str:
    eval_runs = MaintenanceClient(
        stack.client,
        task_queue=stack.task_queue,
        pairs_of_others=pairs_of_others(stack.database),
    )
    stalled = StalledRuns(stack.database, eval_runs, min_age_seconds=0.0)
    async with asyncio.timeout(30):
        while not re.search(pattern, said := await stack.page(run)):
            await stalled.inspect()
            await asyncio.sleep(0.1)
    return said


class Busy:
    """A provider that gives no answer until the test repairs it."""

    def __init__(self, words: str, *, rate_limited: bool) -> None:
        self.mended = asyncio.Event()
        self._error = JudgeBusy(
            words, provider="scripted", retry_after=1.0, rate_limited=rate_limited
        )

    async def __call__(self, question: Question[Any], times: int) -> None:
        if not self.mended.is_set():
            raise self._error


async def test_a_provider_that_limits_the_rate_is_named_with_the_moment_it_gave(
    stack: Stack, service: Service
) -> None:
    busy = stack.judges.script = Busy("Slow down (429).", rate_limited=True)
    says = rf"6 pairs wait for scripted until {AT} after rate limiting \(Slow down \(429\)\.\)"
    async with stack.worker():
        run = await stack.post(traces=2)
        await until_it_says(service, run, f"^{says}$")
        page = await until_its_page_says(stack, run, says)
        busy.mended.set()
        await stack.handle(run).result()
        after = await stack.page(run)
    assert re.search(rf"\(seen at {AT}\)", page)
    assert "rate limiting" not in after
    assert "every pair has its score" in after


async def test_an_outage_is_told_with_its_beginning_and_the_provider_s_last_words(
    stack: Stack, service: Service
) -> None:
    stack.judges.script = Busy("Overloaded (503).", rate_limited=False)
    says = (
        rf"3 pairs wait for scripted, which is down since ({AT}); "
        rf"asked again at {AT} \(Overloaded \(503\)\.\)"
    )
    async with stack.worker():
        began = clock.now().replace(microsecond=0)
        run = await stack.post(traces=1)
        first = re.search(says, await until_it_says(service, run, f"^{says}$"))
        waited = (clock.now() - began).seconds
        await asyncio.sleep(1.2)  # Another attempt has failed since.
        later = re.search(says, await until_it_says(service, run, f"^{says}$"))
        await until_its_page_says(stack, run, says)
        await stack.handle(run).terminate()
    assert first is not None
    assert later is not None
    assert first[1] == later[1]
    possible = [began + timedelta(seconds=after) for after in range(waited + 1)]
    assert first[1] in {f"{one:%H:%M:%S} UTC" for one in possible}


async def test_workers_that_cannot_reach_the_database_say_so(
    stack: Stack, service: Service, tmp_path: Path
) -> None:
    mount = tmp_path / "mount"
    away = Database(f"sqlite:///{mount}/assay.db")
    shutil.rmtree(mount)
    async with replace(stack, database=away).worker():
        run = await stack.post(traces=1, wait_seconds=0.2)
        says = rf"the run waits for the database; tried again at {AT} \(The database cannot be used"
        await until_it_says(service, run, f"^{says}")
        await until_its_page_says(stack, run, says)
        mount.symlink_to(tmp_path)
        await until_it_says(service, run, "^$")
    assert (await stack.row(run)).status is RunStatus.COMPLETED
    await away.close()


async def test_a_run_behind_others_in_the_queue_says_how_many_pairs_those_have_left(
    stack: Stack, service: Service
) -> None:
    doors = stack.judges.script = Doors()
    says = "3 bundles wait for a judge slot; .* busy with 9 pairs of other runs of this project"
    async with stack.worker(judge_concurrency=1):
        first = await stack.post(traces=3)
        await doors.reached.wait()
        second = await stack.post(traces=0)
        await until_it_says(service, second, f"^{says}$")
        await until_its_page_says(stack, second, says)
        doors.open.set()
        await stack.handle(first).result()
        await stack.handle(second).result()


async def test_a_judge_that_is_silent_for_long_is_told_of(
    stack: Stack, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_activity, "LONG_ASKED", timedelta(seconds=0.5))
    doors = stack.judges.script = Doors()
    says = rf"judging; 1 bundle waits for an answer, the longest since {AT}"
    async with stack.worker():
        run = await stack.post(traces=1)
        await doors.reached.wait()
        await until_it_says(service, run, f"^{says}$")
        await until_its_page_says(stack, run, says)
        doors.open.set()
        await stack.handle(run).result()


async def test_a_run_that_gets_on_says_it_is_judging(stack: Stack, service: Service) -> None:
    doors = stack.judges.script = Doors()
    async with stack.worker():
        run = await stack.post(traces=1)
        await doors.reached.wait()
        await until_it_says(service, run, "^judging$")
        doors.open.set()
        await stack.handle(run).result()


async def test_workers_of_another_queue_are_not_taken_for_ours(
    stack: Stack, service: Service
) -> None:
    await service.publish(provider())
    run = await stack.post(traces=1, wait_seconds=0)
    assert await activity(service, run) == f"no worker polls the task queue {stack.task_queue!r}"


async def test_a_temporal_that_is_away_is_named(stack: Stack, service: Service) -> None:
    run = await stack.post(traces=1, wait_seconds=0)
    client = await temporal_client.connect(default_address="127.0.0.1:1", lazy=True)
    over(service, replace(stack, client=client))
    await service.publish(provider())
    assert await activity(service, run) == "Temporal cannot be reached"


@workflow.defn(name="EvalRunWorkflow", sandboxed=False)
class OtherCode:
    """The run's code in a release that changed its commands without a patch."""

    @workflow.run
    async def run(self, run: EvalRunInput) -> None:
        await workflow.sleep(1)


async def test_workflow_code_that_fails_is_told_of_and_its_run_can_be_cancelled(
    stack: Stack, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(maintenance, "STUCK_SECONDS", 0.0)

    def options(spec: RunSpec, task_queue: str) -> dict[str, Any]:
        """The SDK reports only the first failure of a task; others run into this time-out."""
        return run_options(spec, task_queue) | {"task_timeout": timedelta(seconds=1)}

    monkeypatch.setattr(run_client, "run_options", options)
    await service.publish(provider("scripted"))
    doors = stack.judges.script = Doors()
    async with stack.worker(shutdown_grace_seconds=0):
        # Its pairs stay open in Temporal when the worker stops; a bundle would wake the workflow.
        run = await stack.post(traces=1, bundle=False)
        await doors.reached.wait()
        # From the next workflow task on, other code replays the recorded history.
    broken = Worker(stack.client, task_queue=stack.task_queue, workflows=[OtherCode])
    # Reports like a worker, because a run without any worker has another sentence.
    report = partial(service.publish, provider("scripted"))
    async with broken, repeating(report, every=1.0, at_once=True):
        await stack.handle(run).signal("waits_for", "a task for the workflow")
        await until_it_says(service, run, r"^the workflow code of the run fails \(attempt \d+\)")
        answer = await service.client.post(f"/evaluations/trace-runs/{run.id}/cancel")
        assert answer.status_code == 202
        async with asyncio.timeout(20):
            while not (row := await stack.row(run)).status.terminal:
                await reconcile_run(stack.database, stack.eval_runs, row)
                await asyncio.sleep(0.1)
    assert (row.status, row.error_message) == (RunStatus.FAILED, run_rows.CANCELLED)
    assert await stack.eval_runs.existence(run.id) is WorkflowState.CLOSED
