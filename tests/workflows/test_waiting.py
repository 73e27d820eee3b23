"""A run that stands still says why: over HTTP, and on the page of its workflow."""

import asyncio
import re
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from activities import waiting
from activities.waiting import Waiting
from core import clock, temporal
from core.database import Database
from core.errors import JudgeBusy
from core.ids import RunStatus
from core.settings import Settings
from core.tables import EvalRun
from evals.judge import Question
from tests.api.conftest import Service, provider, serve
from tests.workflows.conftest import Stack
from tests.workflows.judges import Doors
from workflows import watching
from workflows.control import EvalRuns

AT = r"\d\d:\d\d:\d\d UTC"


@pytest.fixture
async def service(stack: Stack, sqlite_url: str, tmp_path: Path) -> AsyncIterator[Service]:
    """The API over the same database and Temporal."""
    settings = Settings(_env_file=None, home=tmp_path, task_queue=stack.task_queue)
    async for made in serve(sqlite_url, settings):
        over(made, stack)
        yield made


def over(service: Service, stack: Stack) -> None:
    runs = EvalRuns(
        stack.client,
        task_queue=stack.task_queue,
        pairs_of_others=Waiting(stack.database).pairs_of_others,
    )
    service.app.state.stack = replace(service.stack, runs=runs)


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here is about the length of a standstill."""
    monkeypatch.setattr(watching, "STILL_SECONDS", 0.4)
    monkeypatch.setattr(waiting, "LONG", waiting.LONG / 10)


async def activity(service: Service, run: EvalRun) -> str:
    began = time.monotonic()
    answer = await service.client.get(f"/evaluations/trace-runs/{run.id}")
    assert answer.status_code == 200, answer.text
    assert time.monotonic() - began < 2
    said: str | None = answer.json()["activity"]
    return said or ""


async def until_it_says(service: Service, run: EvalRun, pattern: str) -> str:
    async with asyncio.timeout(10):
        while not re.search(pattern, said := await activity(service, run)):
            await asyncio.sleep(0.1)
    return said


async def until_its_page_says(stack: Stack, run: EvalRun, pattern: str) -> str:
    async with asyncio.timeout(10):
        while not re.search(pattern, said := await stack.page(run)):
            await asyncio.sleep(0.1)
    return said


class Busy:
    """A provider that answers nobody until it is mended."""

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
        await asyncio.sleep(1.2)  # Another attempt has failed since.
        later = re.search(says, await until_it_says(service, run, f"^{says}$"))
        await until_its_page_says(stack, run, says)
        await stack.handle(run).terminate()
    assert first is not None
    assert later is not None
    assert first[1] == later[1]
    assert f"{began:%H:%M:%S} UTC" <= first[1] <= f"{began + timedelta(seconds=3):%H:%M:%S} UTC"


async def test_workers_that_cannot_reach_the_database_say_so(
    stack: Stack, service: Service, tmp_path: Path
) -> None:
    mount = tmp_path / "mount"
    away = Database(f"sqlite:///{mount}/assay.db")
    mount.rmdir()
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
    says = "9 pairs wait for a judge slot; the queue is busy with 9 pairs of other runs"
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
    monkeypatch.setattr(waiting, "LONG_ASKED", timedelta(seconds=0.5))
    doors = stack.judges.script = Doors()
    says = rf"judging; 3 pairs wait for an answer, the longest since {AT}"
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
    client = await temporal.connect(default_address="127.0.0.1:1", lazy=True)
    over(service, replace(stack, client=client))
    await service.publish(provider())
    assert await activity(service, run) == "Temporal cannot be reached"
