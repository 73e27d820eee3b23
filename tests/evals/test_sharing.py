"""What several metrics ask of one trace is asked once."""

import asyncio
from collections import Counter

from core.records import Trace
from evals import catalog
from evals.evaluation import Evaluation, evaluate
from evals.memory import Flights, RememberingJudge
from evals.metric import TraceMetric
from evals.prompting import Plan
from evals.reading import Reading
from tests.evals import made
from tests.fakes import FakeEmbedder, ScriptedJudge, Shelf

METRICS = [
    catalog.trace_metric(name)
    for name in (
        "argument_correctness", "coherence", "confidence", "plan_adherence", "plan_quality",
        "step_efficiency", "task_completion", "tool_correctness",
    )
]  # fmt: skip
PLAN = Plan(reasoning="Listed.", declared=True, steps=["Find the order.", "Tell the user."])


async def together(
    metrics: list[TraceMetric], judge: ScriptedJudge, shelf: Shelf, trace: Trace | None = None
) -> list[Evaluation]:
    reading, flights = Reading(trace or made.conversation()), Flights()
    memory = RememberingJudge(judge, shelf, flights)
    return await asyncio.gather(
        *(evaluate(metric, reading, memory, FakeEmbedder()) for metric in metrics)
    )


async def test_all_trace_metrics_on_one_conversation_ask_nothing_twice() -> None:
    judge = ScriptedJudge({"plan": PLAN})
    evaluations = await together(METRICS, judge, Shelf())
    assert max(Counter(judge.prompts).values()) == 1
    assert Counter(judge.stages) == {
        "task": 1, "plan": 1, "outcome": 1, "arguments": 1, "verdict": 6,
    }  # fmt: skip
    assert sum(one.usage.calls for one in evaluations) == len(judge.questions) == 10
    assert sum(one.usage.calls + one.usage.cached_calls for one in evaluations) == 15


async def test_three_metrics_cost_five_calls() -> None:
    judge = ScriptedJudge()
    names = ("task_completion", "tool_correctness", "step_efficiency")
    await together([catalog.trace_metric(name) for name in names], judge, Shelf())
    assert len(judge.questions) == 5


async def test_a_second_run_asks_nothing() -> None:
    shelf = Shelf()
    await together(METRICS, ScriptedJudge({"plan": PLAN}), shelf)
    judge = ScriptedJudge()
    evaluations = await together(METRICS, judge, shelf)
    assert not judge.questions
    assert all(one.usage.calls == 0 for one in evaluations)
    assert sum(one.usage.cached_calls for one in evaluations) == 15


async def test_an_edited_trace_is_judged_anew_and_its_labels_do_not_count_as_edits() -> None:
    shelf, trace = Shelf(), made.conversation()
    metrics = [catalog.trace_metric("step_efficiency")]
    await together(metrics, ScriptedJudge(), shelf, trace)
    labelled = trace.model_copy(update={"environment": "test", "metadata": {"seen": "yes"}})
    same, edited = ScriptedJudge(), ScriptedJudge()
    await together(metrics, same, shelf, labelled)
    await together(metrics, edited, shelf, trace.model_copy(update={"output": "Something else."}))
    assert same.stages == []
    assert edited.stages == ["task", "verdict"]


async def test_another_model_asks_everything_anew() -> None:
    shelf = Shelf()
    await together(METRICS, ScriptedJudge({"plan": PLAN}), shelf)
    other = ScriptedJudge({"plan": PLAN}, model="test/other")
    await together(METRICS, other, shelf)
    assert len(other.questions) == 10
