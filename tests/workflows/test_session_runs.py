"""Session runs: real workflows, activities, store; the judge is scripted, the embedder a fake."""

import asyncio
from collections import Counter
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from temporalio.client import WorkflowFailureError

from activities.judging import sessions
from activities.judging.retry_budget import MAX_JUDGE_CALLS
from core.db.tables import EvalRun, Score
from core.errors import JudgeBusy, JudgeFailed
from core.ids import RunStatus, ScoreStatus, TargetType
from core.queries import run_rows
from core.trace_input import TraceBody
from evals.judges.protocol import Question, Usage
from tests import factories
from tests.factories import START, store_traces, tool_span_body, trace_body
from tests.fakes import FakeEmbedder
from tests.workflows.conftest import Stack
from tests.workflows.judges import Doors

METRICS = ["agent_consistency", "agent_reliability"]
SIGNALS = ["coherence", "confidence", "loop_detection", "tool_correctness"]


@pytest.fixture
def session_stack(stack: Stack) -> Stack:
    stack.judges.embeds = FakeEmbedder()
    return stack


async def post(stack: Stack, **overrides: Any) -> EvalRun:
    return await stack.post(
        traces=0, **({"target_type": TargetType.SESSION, "metric_names": METRICS} | overrides)
    )


async def judged(stack: Stack, **overrides: Any) -> tuple[list[Score], list[Score]]:
    """A run's scores of sessions, and of traces."""
    run = await post(stack, **overrides)
    await stack.handle(run).result()
    return await split(stack, run)


async def split(stack: Stack, run: EvalRun) -> tuple[list[Score], list[Score]]:
    found = await stack.scores(run)
    return (
        [score for score in found if score.target_type is TargetType.SESSION],
        [score for score in found if score.target_type is TargetType.TRACE],
    )


async def store(stack: Stack, at: int, **overrides: Any) -> None:
    body = trace_body(
        session_id="s", started_at=(START + timedelta(seconds=at)).isoformat(), **overrides
    )
    async with stack.database.write() as db:
        await factories.store(db, stack.project_id, TraceBody.model_validate(body))


async def test_each_session_is_judged_by_the_signals_of_its_traces(session_stack: Stack) -> None:
    stack = session_stack
    for name in ("a", "b"):
        await store_traces(stack.database, stack.project_id, 3, session_id=name)
    async with stack.worker():
        run = await post(stack)
        await stack.handle(run).result()
    of_sessions, of_traces = await split(stack, run)
    assert [(s.target_id, s.name) for s in of_sessions] == [
        (target, metric) for target in "ab" for metric in METRICS
    ]
    assert Counter(s.name for s in of_traces) == dict.fromkeys(SIGNALS, 6)
    assert {s.status for s in (*of_sessions, *of_traces)} == {ScoreStatus.SUCCESS}
    row = await stack.row(run)
    assert (row.status, row.total_targets, row.evaluated_count, row.failed_count) == (
        RunStatus.COMPLETED,
        2,
        2,
        0,
    )
    # Both metrics of a session share its signals, so nothing is asked or billed twice.
    assert set(stack.judges.asked.values()) == {1}
    assert row.usage is not None
    assert row.usage["judge_calls"] == stack.judges.asked.total()


async def test_a_second_run_uses_the_signals_of_the_first(session_stack: Stack) -> None:
    stack = session_stack
    await store_traces(stack.database, stack.project_id, 3, session_id="s")
    async with stack.worker():
        first, _ = await judged(stack)
        asked = stack.judges.asked.total()
        second, of_traces = await judged(stack)
        assert (of_traces, stack.judges.asked.total()) == ([], asked)
        assert [s.value for s in second] == [s.value for s in first]
        assert {s.meta["sources"]["reused"] for s in second} == {12}
        _, again = await judged(stack, fresh=True)
        assert len(again) == 12
        assert stack.judges.asked.total() == 2 * asked
        _, by_another = await judged(stack, model="scripted/other")
    # Embeddings do not depend on the judge.
    assert {s.name for s in by_another} == {"confidence", "tool_correctness"}


async def test_a_changed_trace_is_judged_again_and_compared_with_again(
    session_stack: Stack,
) -> None:
    stack = session_stack
    ids = await store_traces(stack.database, stack.project_id, 6, session_id="s")
    async with stack.worker():
        await judged(stack)
        async with stack.database.write() as db:
            change = trace_body(
                trace_id=str(ids[1]),
                started_at=(START + timedelta(seconds=1)).isoformat(),
                output="Something else.",
            )
            await factories.store(db, stack.project_id, TraceBody.model_validate(change))
        _, of_traces = await judged(stack)
    again = Counter((UUID(s.target_id), s.name) for s in of_traces)
    loops = [(trace_id, "loop_detection") for trace_id in ids[2:5]]
    assert again == Counter([*((ids[1], name) for name in SIGNALS), *loops])


async def test_a_trace_is_compared_with_the_three_before_it_in_its_session(
    session_stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack = session_stack
    monkeypatch.setattr(sessions, "PAGE", 2)
    answers = ["One parcel lost.", "Two trains late.", "Red apples ripe.", "Blue whales sing."]
    # The traces are stored in another order than they started.
    for at in (3, 1, 4, 0, 2):
        output = "One parcel lost." if at == 4 else answers[at]
        await store(stack, at, name=f"t{at}", output=output)
    async with stack.worker():
        _, of_traces = await judged(stack, metric_names=METRICS[1:])
    loops = {s.target_id: s for s in of_traces if s.name == "loop_detection"}
    sizes = Counter(s.meta.get("window_size", 0) for s in loops.values())
    assert sizes == {0: 1, 1: 1, 2: 1, 3: 2}
    # The fifth trace repeats the first one, which is four traces back.
    assert all(s.number is None or s.number > 0.9 for s in loops.values())


async def test_weights_are_those_of_the_run(session_stack: Stack) -> None:
    stack = session_stack
    await store_traces(stack.database, stack.project_id, 2, session_id="s", output="Unrelated.")
    async with stack.worker():
        [strict], _ = await judged(stack, metric_names=METRICS[1:])
        none = dict.fromkeys(SIGNALS, 0.0)
        [lenient], _ = await judged(stack, metric_names=METRICS[1:], signal_weights=none)
    assert strict.number is not None
    assert strict.number < 1
    assert lenient.number == 1
    assert lenient.meta["aggregation"]["weights"] == none


async def test_a_signal_that_fails_for_good_is_left_out(session_stack: Stack) -> None:
    stack = session_stack
    await store_traces(stack.database, stack.project_id, 1, session_id="s")
    await store(stack, 5, input="Where is the other one?")

    async def refuses_one(question: Question[Any], times: int) -> None:
        if "the other one" in question.trace:
            raise JudgeFailed("It refused.", provider="scripted")

    stack.judges.script = refuses_one
    async with stack.worker():
        of_sessions, of_traces = await judged(stack)
    assert {s.status for s in of_sessions} == {ScoreStatus.SUCCESS}
    assert {s.meta["sources"]["failed"] for s in of_sessions} == {2}
    failed = [s for s in of_traces if s.status is ScoreStatus.FAILED]
    assert {s.name for s in failed} == {"confidence", "tool_correctness"}


async def test_a_session_none_of_whose_signals_could_be_judged_failed(
    session_stack: Stack,
) -> None:
    stack = session_stack
    await store_traces(stack.database, stack.project_id, 2, session_id="s", output=None)

    async def refuses(question: Question[Any], times: int) -> None:
        raise JudgeFailed("It refused.", provider="scripted")

    stack.judges.script = refuses
    async with stack.worker():
        run = await post(stack)
        await stack.handle(run).result()
        of_sessions, _ = await split(stack, run)
        assert {s.status for s in of_sessions} == {ScoreStatus.FAILED}
        assert all("It refused." in (s.reason or "") for s in of_sessions)
        row = await stack.row(run)
        assert (row.status, row.evaluated_count, row.failed_count) == (RunStatus.COMPLETED, 1, 2)


async def test_an_attempt_takes_its_turn_and_the_next_goes_on_from_there(
    session_stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack = session_stack
    monkeypatch.setattr(sessions, "LANES", 1)
    monkeypatch.setattr(sessions, "PAGE", 2)
    monkeypatch.setattr(sessions, "TURN_SECONDS", 0.05)
    await store_traces(stack.database, stack.project_id, 6, session_id="s")

    async def slow(question: Question[Any], times: int) -> None:
        await asyncio.sleep(0.03)

    stack.judges.script = slow
    async with stack.worker():
        run = await post(stack, metric_names=METRICS[1:])
        await stack.handle(run).result()
        batch = stack.handle(run)
        history = await batch.fetch_history()
    [started] = [
        event.activity_task_started_event_attributes
        for event in history.events
        if event.HasField("activity_task_started_event_attributes")
        and event.activity_task_started_event_attributes.attempt > 1
    ]
    assert started.last_failure.application_failure_info.type == "TurnOver"
    assert set(stack.judges.asked.values()) == {1}
    [score], of_traces = await split(stack, run)
    assert len(of_traces) == 24
    assert score.meta["sources"]["judged"] == 24


@pytest.mark.usefixtures("short_pauses")
async def test_a_busy_judge_costs_no_signal_twice(session_stack: Stack) -> None:
    stack = session_stack
    await store_traces(stack.database, stack.project_id, 3, session_id="s")

    async def busy_once(question: Question[Any], times: int) -> None:
        if times == 1:
            raise JudgeBusy("429", provider="scripted", retry_after=0.1, rate_limited=True)

    stack.judges.script = busy_once
    async with stack.worker():
        run = await post(stack)
        await stack.handle(run).result()
    of_sessions, of_traces = await split(stack, run)
    assert {s.status for s in (*of_sessions, *of_traces)} == {ScoreStatus.SUCCESS}
    # The refusal, and the answer.
    assert set(stack.judges.asked.values()) == {2}


@pytest.mark.usefixtures("short_pauses")
async def test_answers_without_a_signal_end_a_session(session_stack: Stack) -> None:
    stack = session_stack
    await store_traces(stack.database, stack.project_id, 1, session_id="s")

    async def useless(question: Question[Any], times: int) -> None:
        busy = JudgeBusy("503", provider="scripted", retry_after=0.1)
        raise busy.having_spent(Usage(calls=MAX_JUDGE_CALLS * sessions.LANES))

    stack.judges.script = useless
    async with stack.worker():
        run = await post(stack, metric_names=METRICS[1:])
        await stack.handle(run).result()
    [score], _ = await split(stack, run)
    assert score.status is ScoreStatus.FAILED
    assert score.reason == "Gave up after 2000 judge calls without a score: 503"


async def test_a_cancelled_session_run_stores_nothing_more(session_stack: Stack) -> None:
    stack = session_stack
    await store_traces(stack.database, stack.project_id, 3, session_id="s")
    doors = stack.judges.script = Doors()
    async with stack.worker():
        run = await post(stack)
        await doors.reached.wait()
        async with stack.database.write() as db:
            await run_rows.request_cancel(db, stack.project_id, run.id)
        await stack.eval_runs.cancel(run.id)
        doors.open.set()
        with pytest.raises(WorkflowFailureError):
            await stack.handle(run).result()
    assert (await stack.row(run)).status is RunStatus.FAILED
    assert await split(stack, run) == ([], [])


async def test_a_worker_that_dies_leaves_its_signals_to_the_next(session_stack: Stack) -> None:
    stack = session_stack
    await store_traces(stack.database, stack.project_id, 2, session_id="s")
    await store(stack, 60, input="Hold this one.", spans=[tool_span_body("t", {}, {})])
    doors = Doors()

    async def holds(question: Question[Any], times: int) -> None:
        if "Hold this one." in question.trace and times == 1:
            await doors(question, times)

    stack.judges.script = holds
    async with stack.worker(shutdown_grace_seconds=0):
        run = await post(stack, metric_names=METRICS[1:])
        await doors.reached.wait()
        while len((await split(stack, run))[1]) < 8:
            pass
    doors.open.set()
    async with stack.worker():
        await stack.handle(run).result()
    [score], of_traces = await split(stack, run)
    assert score.status is ScoreStatus.SUCCESS
    assert len(of_traces) == 12
    held = {key: times for key, times in stack.judges.asked.items() if times > 1}
    assert all("Hold this one." in trace for _, trace, _ in held)
