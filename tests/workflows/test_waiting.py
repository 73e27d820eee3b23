"""A run that stands still says why."""

import asyncio
from typing import Any

import pytest

from core.errors import JudgeBusy
from evals.judge import Question
from tests.workflows.conftest import Stack
from tests.workflows.judges import Doors
from workflows import waiting
from workflows.control import EvalRuns


async def until_it_says(stack: Stack, run_id: Any, words: str) -> str:
    async with asyncio.timeout(10):
        while True:
            # Anew each time: what was seen is kept for half a second.
            runs = EvalRuns(stack.client, task_queue=stack.task_queue)
            progress = await runs.progress(run_id)
            if progress is not None and words in (progress.activity or ""):
                return progress.activity or ""
            await asyncio.sleep(0.1)


@pytest.mark.parametrize(
    ("rate_limited", "words"),
    [(True, "after rate limiting"), (False, "for the judge to answer again")],
)
async def test_a_run_held_up_by_its_provider_says_until_when_and_in_whose_words(
    stack: Stack, rate_limited: bool, words: str
) -> None:
    held_up = asyncio.Event()

    async def busy(question: Question[Any], times: int) -> None:
        if not held_up.is_set():
            raise JudgeBusy(
                "Scripted is busy (429).",
                provider="scripted",
                retry_after=1.0,
                rate_limited=rate_limited,
            )

    stack.judges.script = busy
    async with stack.worker():
        run = await stack.post(traces=2)
        said = await until_it_says(stack, run.id, words)
        held_up.set()
        await stack.handle(run).result()
    assert "wait until" in said.replace("waits", "wait")
    assert "(Scripted is busy (429).)" in said


async def test_a_run_whose_pairs_only_queue_says_so(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "QUEUED_FOR_LONG", waiting.QUEUED_FOR_LONG / 10)
    doors = stack.judges.script = Doors()
    async with stack.worker(judge_concurrency=1):
        first = await stack.post(traces=3)
        await doors.reached.wait()
        second = await stack.post(traces=0)
        said = await until_it_says(stack, second.id, "for a judge slot")
        doors.open.set()
        await stack.handle(first).result()
        await stack.handle(second).result()
    assert said.startswith("9 pairs wait for a judge slot")


async def test_a_run_that_gets_on_says_it_is_judging(stack: Stack) -> None:
    doors = stack.judges.script = Doors()
    async with stack.worker():
        run = await stack.post(traces=1)
        await doors.reached.wait()
        assert await until_it_says(stack, run.id, "judging") == "judging"
        doors.open.set()
        await stack.handle(run).result()
