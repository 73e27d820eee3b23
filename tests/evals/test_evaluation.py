from typing import Any

import pytest
from pydantic import ValidationError

from core.errors import JudgeFailed, JudgeUnusable
from evals import catalog
from evals.case import TraceCase
from evals.evaluation import evaluate
from evals.judge import Usage
from evals.metric import Example, NotApplicable, Scored, Stage, TraceMetric
from evals.prompting import Plan, Task, Verdict
from evals.reading import Reading
from evals.rules import BASELINE_NOTE, RulesJudge
from evals.trace.argument_correctness import CallVerdict, CallVerdicts
from tests.evals import made
from tests.fakes import FakeEmbedder, ScriptedJudge

BOOKED = made.trace(made.tool("book_room", {"room": 12}, "ok"))


def verdict(score: float, reason: str = "It went so.") -> Verdict:
    return Verdict(reasoning="Looked at it.", score=score, reason=reason)


def metric_that_answers(value: float) -> TraceMetric:
    async def answer(_: TraceCase) -> Scored:
        return Scored(value, "made for the test")

    return TraceMetric("made", "Made?", "as given", {}, answer, Example(BOOKED, value))


async def judged(name: str, trace: Any = BOOKED, **answers: Any) -> Any:
    metric = catalog.trace_metric(name)
    return await evaluate(metric, trace, ScriptedJudge(answers), FakeEmbedder())


async def test_metadata_says_everything_about_a_score() -> None:
    evaluation = await judged(
        "task_completion",
        task=Task(reasoning="", task="Book room 12."),
        verdict=verdict(0.25, "Booked the wrong day."),
    )
    assert evaluation.outcome.value == 0.25
    assert evaluation.outcome.reason == "Booked the wrong day."
    assert evaluation.usage == Usage(3, 0, 300, 60, 0.003, 15)
    metadata = dict(evaluation.metadata)
    assert metadata.pop("outcome")
    assert metadata.pop("judge") == {
        "model": "test/scripted", "calls": 3, "cached_calls": 0, "prompt_tokens": 300,
        "completion_tokens": 60, "cost_usd": pytest.approx(0.003), "latency_ms": 15,
    }  # fmt: skip
    assert metadata == {
        "task": "Book room 12.",
        "threshold": 0.5,
        "success": False,
        "metric_version": catalog.trace_metric("task_completion").version,
    }


async def test_a_trace_that_does_not_fit_is_judged_and_marked() -> None:
    judge = ScriptedJudge(input_tokens=1_000)
    metric = catalog.trace_metric("step_efficiency")
    evaluation = await evaluate(metric, made.conversation(60), judge, FakeEmbedder())
    assert evaluation.metadata["truncated"] is True
    assert isinstance(evaluation.outcome, Scored)


@pytest.mark.parametrize(
    ("value", "stored"), [(0.123456, 0.1235), (1 + 1e-12, 1.0), (-1e-12, 0.0), (0.5, 0.5)]
)
async def test_scores_are_kept_within_bounds_and_rounded(value: float, stored: float) -> None:
    evaluation = await evaluate(metric_that_answers(value), BOOKED, RulesJudge(), FakeEmbedder())
    assert isinstance(evaluation.outcome, Scored)
    assert evaluation.outcome.value == stored
    assert evaluation.metadata["success"] is (stored >= 0.5)


async def test_a_score_that_is_no_number_fails_the_pair() -> None:
    with pytest.raises(JudgeFailed):
        await evaluate(metric_that_answers(float("nan")), BOOKED, RulesJudge(), FakeEmbedder())


@pytest.mark.parametrize("name", ["tool_correctness", "argument_correctness"])
async def test_without_tools_nothing_is_asked_and_no_number_given(name: str) -> None:
    judge = ScriptedJudge()
    evaluation = await evaluate(catalog.trace_metric(name), made.trace(), judge, FakeEmbedder())
    assert isinstance(evaluation.outcome, NotApplicable)
    assert evaluation.metadata["applicable"] is False
    assert "success" not in evaluation.metadata
    assert not judge.questions


async def test_tools_on_offer_that_were_not_called_are_still_a_choice_to_judge() -> None:
    trace = made.trace(metadata={"tools": ["book_room"]})
    evaluation = await judged("tool_correctness", trace, verdict=verdict(0.0))
    assert evaluation.outcome.value == 0.0
    assert evaluation.metadata["available_tools"] == ["book_room"]
    assert evaluation.metadata["tools_called"] == []


async def test_calls_by_the_hundred_are_listed_up_to_a_bound() -> None:
    trace = made.trace(*(made.tool("look", {"n": n}) for n in range(250)))
    judge = ScriptedJudge()
    metric = catalog.trace_metric("tool_correctness")
    await evaluate(metric, trace, judge, FakeEmbedder())
    assert "and 50 more" in judge.questions[-1].text


@pytest.mark.parametrize("name", ["plan_quality", "plan_adherence"])
async def test_without_a_plan_no_number_is_given_and_nothing_more_asked(name: str) -> None:
    judge = ScriptedJudge({"plan": Plan(reasoning="None.", declared=False, steps=[])})
    evaluation = await evaluate(catalog.trace_metric(name), BOOKED, judge, FakeEmbedder())
    assert isinstance(evaluation.outcome, NotApplicable)
    assert judge.stages == ["plan"]


@pytest.mark.parametrize("missing", ["input", "output"])
async def test_coherence_needs_both_ends(missing: str) -> None:
    evaluation = await judged("coherence", made.trace(**{missing: "  "}))
    assert isinstance(evaluation.outcome, NotApplicable)
    assert missing in evaluation.outcome.reason
    assert evaluation.metadata["embedding_model"] == "test/words"


async def test_arguments_score_the_share_of_calls_that_are_right() -> None:
    trace = made.trace(*(made.tool("book", {"room": room}) for room in range(4)))
    answers = CallVerdicts(
        verdicts=[
            CallVerdict(call=n, reason=f"reason {n}", verdict="no" if n == 2 else "yes")
            for n in range(1, 5)
        ]
    )
    evaluation = await judged("argument_correctness", trace, arguments=answers)
    assert evaluation.outcome.value == 0.75
    assert "[2] book: reason 2" in evaluation.outcome.reason
    assert evaluation.metadata["verdicts"][1] == {
        "tool": "book",
        "verdict": "no",
        "reason": "reason 2",
    }


async def test_many_calls_are_judged_in_several_questions() -> None:
    trace = made.trace(*(made.tool("book", {"room": room}) for room in range(45)))
    judge = ScriptedJudge()
    metric = catalog.trace_metric("argument_correctness")
    evaluation = await evaluate(metric, trace, judge, FakeEmbedder())
    assert judge.stages == ["arguments"] * 3
    verdicts = evaluation.metadata["verdicts"]
    assert isinstance(verdicts, list)
    assert len(verdicts) == 45


async def test_an_answer_that_passes_over_calls_does_not_validate() -> None:
    trace = made.trace(*(made.tool("book", {"room": room}) for room in range(3)))
    judge = ScriptedJudge()
    metric = catalog.trace_metric("argument_correctness")
    await evaluate(metric, trace, judge, FakeEmbedder())
    wanted = judge.questions[0].answer
    one = {"call": 2, "reason": "fine", "verdict": "yes"}
    with pytest.raises(ValidationError, match="no verdict on call 1, 3"):
        wanted.model_validate({"verdicts": [one, {**one, "call": 999}]})
    assert wanted.model_json_schema() == CallVerdicts.model_json_schema()


async def test_rules_say_that_they_are_a_baseline() -> None:
    metric = catalog.trace_metric("task_completion")
    evaluation = await evaluate(metric, BOOKED, RulesJudge(), FakeEmbedder())
    assert evaluation.outcome.reason.endswith(BASELINE_NOTE)


async def test_a_metric_without_a_rule_cannot_be_judged_by_rules() -> None:
    stage = Stage("verdict", "Well?", Verdict)

    async def ask(case: TraceCase) -> Scored:
        answer = await case.ask(stage)
        return Scored(answer.score, answer.reason)

    metric = TraceMetric("own", "Own?", "its score", {}, ask, Example(BOOKED, 1), (stage,))
    assert not metric.offline
    with pytest.raises(JudgeUnusable, match="offline/rules has no rule"):
        await evaluate(metric, BOOKED, RulesJudge(), FakeEmbedder())


async def test_a_reading_serves_as_the_trace() -> None:
    metric = catalog.trace_metric("confidence")
    from_reading = await evaluate(metric, Reading(BOOKED), RulesJudge(), FakeEmbedder())
    assert from_reading == await evaluate(metric, BOOKED, RulesJudge(), FakeEmbedder())


async def test_loop_detection_compares_with_the_three_before() -> None:
    metric = catalog.signal_metric("loop_detection")
    said = "I will forward your complaint about the noise."
    now = made.trace(output=said)
    other = made.trace(output="Breakfast starts at seven.")
    repeated = await evaluate(metric, now, RulesJudge(), FakeEmbedder(), [now, other, other])
    forgotten = await evaluate(
        metric, now, RulesJudge(), FakeEmbedder(), [now, other, other, other]
    )
    assert isinstance(repeated.outcome, Scored)
    assert isinstance(forgotten.outcome, Scored)
    assert repeated.outcome.value == 0.0
    assert forgotten.outcome.value == 1.0
    assert forgotten.metadata["window_size"] == 3


@pytest.mark.parametrize("earlier", [[], [made.trace(output=None)]])
async def test_loop_detection_needs_an_earlier_output(earlier: list[Any]) -> None:
    metric = catalog.signal_metric("loop_detection")
    evaluation = await evaluate(metric, BOOKED, RulesJudge(), FakeEmbedder(), earlier)
    assert isinstance(evaluation.outcome, NotApplicable)
