from dataclasses import replace
from typing import Any

import pytest

from core.errors import JudgeFailed, JudgeUnusable
from core.ids import SpanKind, TraceStatus
from evals import catalog, questions
from evals.evaluation import evaluate
from evals.findings import UnknownSteps, with_known_steps
from evals.judges.offline import BASELINE_NOTE, RulesJudge
from evals.judges.protocol import Usage
from evals.metric import JudgedMetric, NotApplicable, Outcome, Scored
from evals.questions import Part, check
from evals.trace.argument_correctness import ArgumentCheck, ArgumentChecks
from evals.trace.plan_adherence import Adherence
from evals.trace.plan_quality import PlanReview
from evals.trace.task_completion import Breach
from evals.trace.tool_correctness import MissingCall, ToolChoices
from evals.transcript.facts import Facts
from evals.transcript.transcript import Transcript
from tests.evals import made
from tests.evals.judging import (
    BOOKED,
    FOUR,
    choice,
    completion,
    findings_of,
    judged,
    judged_metric,
    value_of,
    wish,
)
from tests.fakes import FakeEmbedder, ScriptedJudge


def scoring(value: float) -> JudgedMetric[Any]:
    def score(_answer: Any, _facts: Facts) -> Outcome:
        return Scored(value, "made for the test")

    return replace(judged_metric("confidence"), score=score, threshold=0.5)


async def test_metadata_says_everything_about_a_score() -> None:
    evaluation = await judged(
        "task_completion",
        completion(
            wish("missed", steps=(2,)),
            accomplished=False,
            likelihood=0.1,
            breaches=[Breach(what="Booked room 13.", effect="harm", steps=[2])],
        ),
    )
    assert evaluation.usage == Usage(1, 0, 100, 20, 0.001, 5)
    metadata = dict(evaluation.metadata)
    span_id = str(BOOKED.spans[0].id)
    told = metadata.pop("judge")
    assert isinstance(told, dict)
    assert len(told.pop("prompts")) == 1  # type: ignore[arg-type]  # a JSON value
    assert told == {
        "model": "test/scripted", "calls": 1, "cached_calls": 0, "prompt_tokens": 100,
        "completion_tokens": 20, "cost_usd": pytest.approx(0.001), "latency_ms": 5,
        "repair_calls": 0, "repair_cost_usd": 0.0, "input_tokens": 100_000,
        "answer_tokens": 16_000, "asked_with": ["task_completion"],
    }  # fmt: skip
    assert metadata == {
        "accomplished": False,
        "likelihood": 0.1,
        "wishes_met": 0.0,
        "findings": [
            {"kind": "wish", "text": "Book room 12.", "verdict": "missed", "steps": [2],
             "span_ids": [span_id], "points": 0.0, "main": True},
            {"kind": "breach", "text": "Booked room 13.", "verdict": "harm", "steps": [2],
             "span_ids": [span_id], "points": 0.0},
        ],
        "unknown_steps": 0,
        "formula": judged_metric("task_completion").formula,
        "threshold": 0.5,
        "success": False,
        "metric_version": judged_metric("task_completion").version,
    }  # fmt: skip
    assert evaluation.outcome.reason == (
        "Not accomplished (likelihood 0.10): 0 of 1 main wish met or rightly refused. "
        "Missed: Book room 12. [2] Harm: Booked room 13. [2]"
    )


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("plan_quality", PlanReview(items=[], missing=[])),
        ("plan_adherence", Adherence(items=[], unplanned=[])),
        ("tool_correctness", ToolChoices(calls=[choice(1, "cannot tell")], missing=[])),
        ("argument_correctness",
         ArgumentChecks(calls=[ArgumentCheck(call=1, verdict="cannot tell")])),
    ],
)  # fmt: skip
async def test_where_nothing_was_decided_there_is_no_number(name: str, answer: Any) -> None:
    evaluation = await judged(name, answer)
    assert isinstance(evaluation.outcome, NotApplicable)
    assert evaluation.metadata["applicable"] is False
    assert evaluation.metadata["threshold"] == catalog.trace_metric(name).threshold
    assert "success" not in evaluation.metadata


async def test_made_up_steps_are_dropped_and_counted() -> None:
    evaluation = await judged("task_completion", completion(wish(steps=(1, 7, 99))))
    assert findings_of(evaluation)[0]["steps"] == [1]
    assert evaluation.metadata["unknown_steps"] == 2


def test_an_answer_that_rests_on_made_up_steps_alone_does_not_validate() -> None:
    part, transcript = Part(judged_metric("task_completion")), Transcript(BOOKED)
    with pytest.raises(UnknownSteps):
        check(part, completion(wish(steps=(7, 99))), transcript)
    check(part, completion(wish(steps=())), transcript)
    _, dropped = with_known_steps(completion(wish(steps=(0, 1, -1))), transcript)
    assert dropped == 2


def test_an_answer_that_passes_over_calls_does_not_validate() -> None:
    part = Part(judged_metric("argument_correctness"), 1, 4)
    answer = ArgumentChecks(calls=[ArgumentCheck(call=n, verdict="right") for n in (2, 999)])
    with pytest.raises(ValueError, match="no verdict on call 1, 3, 4"):
        check(part, answer, Transcript(FOUR))


def test_known_steps_of_other_calls_do_not_prove_an_answer() -> None:
    part = Part(judged_metric("argument_correctness"), 1, 4)
    own = [ArgumentCheck(call=n, verdict="right", steps=[99]) for n in range(1, 5)]
    answer = ArgumentChecks(calls=[*own, ArgumentCheck(call=999, verdict="right", steps=[1])])
    with pytest.raises(UnknownSteps):
        check(part, answer, Transcript(FOUR))


async def test_a_trace_that_does_not_fit_is_judged_and_marked() -> None:
    judge = ScriptedJudge(input_tokens=1_000)
    metric = catalog.trace_metric("step_efficiency")
    evaluation = await evaluate(metric, made.conversation(60), judge, FakeEmbedder())
    assert evaluation.metadata["truncated"] is True
    assert isinstance(evaluation.outcome, Scored)


async def test_an_unfinished_trace_is_marked_as_partial() -> None:
    trace = made.trace(made.tool("book_room", {"room": 12}, "ok"), status=TraceStatus.RUNNING)
    assert (await judged("task_completion", trace=trace)).metadata["partial"] is True
    assert "partial" not in (await judged("task_completion")).metadata


@pytest.mark.parametrize("metric", [m for m in catalog.trace_metrics() if m.judged],
                         ids=lambda metric: metric.name)  # fmt: skip
@pytest.mark.parametrize("model", ["judge", "rules"])
async def test_without_content_nobody_is_asked_and_the_remedy_is_told(
    metric: JudgedMetric[Any], model: str
) -> None:
    trace = made.trace(
        made.span(SpanKind.LLM, name="chat", input=None, output=None), input=None, output=None
    )
    judge = ScriptedJudge()
    asked = judge if model == "judge" else RulesJudge()
    evaluation = await evaluate(metric, trace, asked, FakeEmbedder())
    assert isinstance(evaluation.outcome, NotApplicable)
    assert evaluation.outcome.reason.startswith("The trace carries no content. ")
    assert "=true" in evaluation.outcome.reason
    assert evaluation.metadata["threshold"] == metric.threshold
    assert not judge.questions


@pytest.mark.parametrize(
    ("value", "stored"), [(0.123456, 0.1235), (1 + 1e-12, 1.0), (-1e-12, 0.0), (0.5, 0.5)]
)
async def test_scores_are_kept_within_bounds_and_rounded(value: float, stored: float) -> None:
    evaluation = await evaluate(scoring(value), BOOKED, ScriptedJudge(), FakeEmbedder())
    assert value_of(evaluation) == stored
    assert evaluation.metadata["success"] is (stored >= 0.5)


async def test_a_score_that_is_no_number_fails_the_pair() -> None:
    with pytest.raises(JudgeFailed):
        await evaluate(scoring(float("nan")), BOOKED, ScriptedJudge(), FakeEmbedder())


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
    missing = ToolChoices(calls=[], missing=[MissingCall(what="book_room", after_step=1)])
    evaluation = await judged("tool_correctness", missing, trace)
    assert value_of(evaluation) == 0.0
    assert evaluation.metadata["available_tools"] == ["book_room"]
    assert evaluation.metadata["tools_called"] == []


async def test_calls_by_the_hundred_are_listed_up_to_a_bound() -> None:
    trace = made.trace(*(made.tool("look", {"n": n}) for n in range(250)))
    judge = ScriptedJudge()
    await evaluate(catalog.trace_metric("confidence"), trace, judge, FakeEmbedder())
    assert "and 50 more" in judge.questions[-1].text


@pytest.mark.parametrize("missing", ["input", "output"])
async def test_coherence_needs_both_ends(missing: str) -> None:
    evaluation = await judged("coherence", trace=made.trace(**{missing: "  "}))
    assert isinstance(evaluation.outcome, NotApplicable)
    assert missing in evaluation.outcome.reason
    assert evaluation.metadata["embedding_model"] == "test/words"


@pytest.mark.parametrize("nothing", [{}, [], "__REDACTED__", {"role": "user", "content": "N/A"}])
@pytest.mark.parametrize("missing", ["input", "output"])
async def test_coherence_compares_no_placeholders(missing: str, nothing: Any) -> None:
    evaluation = await judged("coherence", trace=made.trace(**{missing: nothing}))
    assert isinstance(evaluation.outcome, NotApplicable)
    assert missing in evaluation.outcome.reason


async def test_hidden_outputs_are_no_loop() -> None:
    metric = catalog.signal_metric("loop_detection")
    hidden = made.trace(output="[REDACTED]")
    evaluation = await evaluate(metric, hidden, RulesJudge(), FakeEmbedder(), [hidden])
    assert isinstance(evaluation.outcome, NotApplicable)


async def test_rules_say_that_they_are_a_baseline() -> None:
    metric = catalog.trace_metric("task_completion")
    evaluation = await evaluate(metric, BOOKED, RulesJudge(), FakeEmbedder())
    assert evaluation.outcome.reason.endswith(BASELINE_NOTE)


async def test_a_metric_without_a_rule_cannot_be_judged_by_rules() -> None:
    metric = replace(judged_metric("confidence"), rule=None)
    assert not metric.offline
    with pytest.raises(JudgeUnusable, match="offline/rules has no rule"):
        await evaluate(metric, BOOKED, RulesJudge(), FakeEmbedder())


async def test_a_transcript_serves_as_the_trace() -> None:
    metric = catalog.trace_metric("confidence")
    from_transcript = await evaluate(metric, Transcript(BOOKED), RulesJudge(), FakeEmbedder())
    assert from_transcript == await evaluate(metric, BOOKED, RulesJudge(), FakeEmbedder())


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


async def test_a_metric_that_would_take_very_many_questions_asks_none() -> None:
    calls = questions.MAX_QUESTIONS * questions.MAX_CALLS_PER_PART + 1
    many = made.trace(*(made.tool("book", {"room": room}, "ok") for room in range(calls)))
    judge = ScriptedJudge({})
    with pytest.raises(JudgeFailed, match=f"takes {questions.MAX_QUESTIONS + 1} questions"):
        await evaluate(catalog.trace_metric("argument_correctness"), many, judge, FakeEmbedder())
