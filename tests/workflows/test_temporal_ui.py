"""The texts that an operator reads in Temporal: the list, a run's page, a pending pair, a failed
run.
"""

import asyncio
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import WorkflowFailureError
from temporalio.exceptions import ApplicationError

from core.db.tables import EvalRun
from core.errors import JudgeBusy, JudgeUnusable
from evals.judges.protocol import Question
from tests.factories import store_traces
from tests.workflows.conftest import METRICS, Stack
from tests.workflows.monitoring import Watch
from workflows.maintenance.stalled_runs import StalledRuns
from workflows.policies import Limits

ROOT = Path(__file__).parents[2]
IN_BATCHES = Limits(pairs_without_batch=0, pairs_per_batch=3, min_pairs_per_batch=3)
WORDS = "Incorrect API key provided."


@pytest.mark.parametrize("limits", [Limits(), IN_BATCHES])
async def test_a_failed_run_shows_the_provider_s_words_and_the_pair_on_top(
    stack: Stack, limits: Limits
) -> None:
    async def refuse(_question: Question[Any], _times: int) -> None:
        raise JudgeUnusable(WORDS, provider="scripted")

    stack.judges.script = refuse
    async with stack.worker():
        run = await stack.post(traces=1, metric_names=METRICS[:1], limits=limits)
        with pytest.raises(WorkflowFailureError) as failed:
            await stack.handle(run).result()
        page = await stack.page(run)
    top = failed.value.cause
    assert isinstance(top, ApplicationError)
    [target] = await stack.targets(run)
    assert top.message == f"{WORDS} First met by {METRICS[0]} of {target.target_id}."
    assert f"**FAILED**: {WORDS}" in page
    assert (await stack.row(run)).error_message == WORDS


async def test_a_pending_pair_says_what_it_is_its_stage_its_failure_and_its_next_try(
    stack: Stack,
) -> None:
    async def overloaded(_question: Question[Any], _times: int) -> None:
        raise JudgeBusy("Overloaded (503).", provider="scripted", retry_after=30)

    stack.judges.script = overloaded
    async with stack.worker():
        run = await stack.post(traces=1, metric_names=METRICS[:1])
        async with asyncio.timeout(20):
            while True:
                described = await stack.handle(run).describe()
                [info] = described.raw_description.pending_activities
                if info.HasField("last_failure"):
                    break
                await asyncio.sleep(0.05)
        [target] = await stack.targets(run)
        await stack.handle(run).terminate()
    pair = f"{METRICS[0]} of {target.target_id}"
    [details] = await stack.client.data_converter.decode(list(info.heartbeat_details.payloads))
    assert (details["pair"], details["stage"]) == (pair, "waiting for the next attempt")
    assert details["provider"] == "scripted"
    assert details["outage_since"]
    assert info.last_failure.message == "Overloaded (503)."
    assert info.next_attempt_schedule_time.seconds > info.last_attempt_complete_time.seconds + 20
    history = await stack.handle(run).fetch_history()
    [scheduled] = [
        event
        for event in history.events
        if event.activity_task_scheduled_event_attributes.activity_type.name == "judge_pair"
    ]
    payload = scheduled.user_metadata.summary
    assert await stack.client.data_converter.decode([payload], [str]) == [pair]


async def test_what_a_client_named_is_no_markdown_on_any_page(stack: Stack) -> None:
    name = "![x](http://evil.test/a.png) <img src=x>"
    async with stack.worker():
        run = await stack.post(traces=1, name=name)
        await stack.handle(run).result()
        page = await stack.page(run)
    described = await stack.handle(run).describe()
    shown = [page, await described.static_summary(), await described.static_details()]
    for text in shown:
        assert text is not None
        assert "![" not in text
        assert " <img" not in text
        assert "http:" not in text


async def test_a_run_keeps_its_title_when_it_continues_as_new(stack: Stack) -> None:
    limits = Limits(
        pairs_without_batch=0, pairs_per_batch=3, min_pairs_per_batch=3, batches_per_run=1
    )
    async with stack.worker():
        run = await stack.post(traces=3, name="Nightly", limits=limits)
        await stack.handle(run).result()
        assert await stack.continuations(run) == 2
        assert (await stack.page(run)).startswith(f"Nightly: {', '.join(METRICS)}\n")
    described = await stack.handle(run).describe()
    assert (await described.memo())["name"] == "Nightly"
    attributes = {pair.key.name: pair.value for pair in described.typed_search_attributes}
    assert (attributes["AssayRunName"], attributes["AssayRunStatus"]) == ("Nightly", "COMPLETED")


async def in_memo(stack: Stack, run: EvalRun) -> str:
    memo = await (await stack.handle(run).describe()).memo()
    return str(memo.get("activity", ""))


async def test_without_a_worker_the_memo_tells_what_a_run_waits_for(stack: Stack) -> None:
    mended = asyncio.Event()

    async def limited(_question: Question[Any], _times: int) -> None:
        if not mended.is_set():
            raise JudgeBusy("429", provider="scripted", retry_after=1.0, rate_limited=True)

    stack.judges.script = limited
    async with stack.worker():
        run = await stack.post(traces=1, metric_names=METRICS[:1], with_pairs=True)
        stalled = StalledRuns(stack.database, stack.eval_runs, min_age_seconds=0.0)
        async with asyncio.timeout(20):
            while "after rate limiting" not in await in_memo(stack, run):
                await stalled.inspect()
                await asyncio.sleep(0.1)
    told = await in_memo(stack, run)
    assert told.startswith("1 pair waits for scripted until")
    assert "; 0 of 1 targets evaluated, 0 pairs failed (at 20" in told
    mended.set()
    async with stack.worker():
        await stack.handle(run).result()
    assert (await in_memo(stack, run)).startswith("every pair has its score; 1 of 1 targets")


async def test_the_memo_tells_the_progress_of_a_run_that_continued_as_new(stack: Stack) -> None:
    first: list[str] = []
    reached, opened = asyncio.Event(), asyncio.Event()

    async def hold_all_but_the_first(question: Question[Any], _times: int) -> None:
        first.append(question.trace)
        if question.trace != first[0]:
            reached.set()
            await opened.wait()

    stack.judges.script = hold_all_but_the_first
    limits = replace(IN_BATCHES, batches_per_run=1, activity_in_memo=True)
    async with stack.worker():
        run = await stack.post(traces=3, limits=limits)
        await reached.wait()
        assert await stack.continuations(run) == 1
        assert (await in_memo(stack, run)).startswith("judging; 1 of 3 targets evaluated")
        opened.set()
        await stack.handle(run).result()
    assert (await in_memo(stack, run)).startswith("every pair has its score; 3 of 3 targets")


@pytest.mark.parametrize("with_pairs", [False, True])
async def test_a_small_run_that_never_waits_writes_no_memo(stack: Stack, with_pairs: bool) -> None:
    async with stack.worker():
        run = await stack.post(traces=1, with_pairs=with_pairs)
        await stack.handle(run).result()
    assert await in_memo(stack, run) == ""


async def test_temporal_understands_the_saved_views_of_the_operations_page(stack: Stack) -> None:
    page = (ROOT / "docs" / "operations.md").read_text()
    views = re.findall(r"^  - [\w ]+: `(.+)`$", page, flags=re.MULTILINE)
    assert len(views) == 5
    async with stack.worker():
        run = await stack.post(traces=1, metric_names=METRICS[:1])
        await stack.handle(run).result()
    for view in views:
        query = re.sub(r"<\w+ id>", str(stack.project_id), view)
        assert (await stack.client.count_workflows(query)).count >= 0
    [project] = [view for view in views if "<project id>" in view]
    query = project.replace("<project id>", str(stack.project_id))
    async with asyncio.timeout(20):
        while (await stack.client.count_workflows(query)).count != 1:
            await asyncio.sleep(0.1)


async def test_a_schedule_names_its_monitor_and_says_where_to_change_it(stack: Stack) -> None:
    watch = await Watch.over(stack, name="Nightly check")
    described = await watch.schedule.describe()
    note = described.schedule.state.note or ""
    assert note.startswith("Nightly check (daily). Change it through the API")
    await watch.schedule.delete()


async def test_a_monitor_whose_filter_is_no_longer_valid_says_which(stack: Stack) -> None:
    await store_traces(stack.database, stack.project_id, 1)
    watch = await Watch.over(stack, filters={"no_such_filter": 1})
    async with stack.worker():
        outcome = await (await watch.start("a")).result()
    assert "no_such_filter" in outcome.note
    await watch.schedule.delete()
