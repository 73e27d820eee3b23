"""What holds for every metric in the catalog, also for one added tomorrow."""

from types import MappingProxyType
from typing import Any

import pytest

from core.ids import SpanKind, SpanStatus, TraceStatus
from core.records import Trace
from evals import catalog, example
from evals.evaluation import evaluate, evaluate_session
from evals.metric import NotApplicable, Scored, SessionMetric, TraceMetric
from evals.rules import OFFLINE_MODEL, RulesJudge
from evals.signals import SessionCase, TraceSignals
from tests.evals import made
from tests.fakes import FakeEmbedder, ScriptedJudge

TRACES = MappingProxyType(
    {
        "without spans": made.trace(),
        "with an error": made.trace(
            made.failed_tool("book_room", {"room": 12}), status=TraceStatus.ERROR
        ),
        "very long": made.conversation(turns=120, size=4_000),
        "not in English": made.trace(
            made.llm([made.user("请帮我预订星期一的12号房间。")], made.assistant("好的，已预订。")),
            made.tool("预订房间", {"房间": "12号"}, {"状态": "已预订"}),
            input="请帮我预订星期一的12号房间。",
            output="12号房间已为您预订。",
        ),
        "without input": made.trace(made.tool("book_room", {"room": 12}, "ok"), input=None),
        "without output": made.trace(made.tool("book_room", {"room": 12}, "ok"), output=None),
        "empty": made.trace(input=None, output=None, ended_at=None),
        "unfinished": made.trace(
            made.span(SpanKind.AGENT, status=SpanStatus.UNSET, ended_at=None),
            status=TraceStatus.RUNNING,
            output=None,
        ),
        "with odd values": made.trace(
            made.tool("", [1, None, {"a": []}], 3.5),
            made.llm([], {"choices": [{"message": None}]}),
            input={"messages": "none"},
            output=["x", 1, None],
        ),
    }
)


def by_name(value: Any) -> str | None:
    return getattr(value, "name", None)


@pytest.mark.parametrize("metric", catalog.signal_metrics(), ids=by_name)
class TestTraceMetric:
    def test_is_named_after_its_file(self, metric: TraceMetric) -> None:
        assert metric.evaluate.__module__ == f"evals.trace.{metric.name}"

    def test_describes_itself(self, metric: TraceMetric) -> None:
        assert metric.about.endswith("?")
        assert metric.formula
        assert all(bool(stage.rule_about) is (stage.rule is not None) for stage in metric.stages)

    def test_scores_its_example_as_expected(self, metric: TraceMetric) -> None:
        outcome, questions = example.run(metric)
        assert isinstance(outcome, Scored)
        assert outcome.value == pytest.approx(metric.example.expected)
        assert {one.stage for one in questions} == {stage.name for stage in metric.stages}

    def test_details_are_the_documented_ones(self, metric: TraceMetric) -> None:
        outcome, _ = example.run(metric)
        assert set(outcome.details) == set(metric.outputs)

    def test_previews_prompts_with_nothing_left_to_fill_in(self, metric: TraceMetric) -> None:
        for shown in catalog.preview(metric):
            for name in ("task", "plan", "outcome", "calls", "called", "offered", "counted"):
                assert f"{{{name}}}" not in shown["prompt"]

    def test_answers_are_reasoned_before_they_are_scored(self, metric: TraceMetric) -> None:
        for stage in metric.stages:
            fields = list(stage.answer.model_fields)
            if "score" in fields:
                assert fields.index("reasoning") < fields.index("score")
                assert all(
                    f"\n{anchor}" in stage.prompt for anchor in ("0 ", "0.25", "0.5", "0.75", "1 ")
                )

    def test_has_a_version_of_its_own(self, metric: TraceMetric) -> None:
        others = [other.version for other in catalog.signal_metrics() if other is not metric]
        assert metric.version not in others

    @pytest.mark.parametrize("trace", TRACES.values(), ids=TRACES.keys())
    async def test_judges_any_trace_by_rule(self, metric: TraceMetric, trace: Trace) -> None:
        if not metric.offline:
            pytest.skip("has no offline rule")
        evaluation = await evaluate(
            metric, trace, RulesJudge(), FakeEmbedder(), [made.trace(), made.trace()]
        )
        outcome = evaluation.outcome
        assert outcome.reason
        if isinstance(outcome, Scored):
            assert 0 <= outcome.value <= 1
            assert round(outcome.value, 4) == outcome.value
            assert evaluation.metadata["success"] is (outcome.value >= 0.5)
        else:
            assert evaluation.metadata["applicable"] is False
        if metric.judged:
            judge = evaluation.metadata["judge"]
            assert isinstance(judge, dict)
            assert judge["model"] == OFFLINE_MODEL
            assert judge["calls"] == 0

    @pytest.mark.parametrize("trace", TRACES.values(), ids=TRACES.keys())
    async def test_rules_say_the_same_twice(self, metric: TraceMetric, trace: Trace) -> None:
        if not metric.offline:
            pytest.skip("has no offline rule")
        first, second = [
            await evaluate(metric, trace, RulesJudge(), FakeEmbedder(), [made.trace()])
            for _ in range(2)
        ]
        assert first == second

    @pytest.mark.parametrize("trace", TRACES.values(), ids=TRACES.keys())
    async def test_every_prompt_about_a_trace_begins_alike(
        self, metric: TraceMetric, trace: Trace
    ) -> None:
        without_rule = {stage.name for stage in metric.stages if stage.rule is None}
        answers = {name: metric.example.answers[name] for name in without_rule}
        judge = ScriptedJudge(answers, input_tokens=8_000)
        await evaluate(metric, trace, judge, FakeEmbedder())
        assert len({question.trace for question in judge.questions}) <= 1


@pytest.mark.parametrize("metric", catalog.session_metrics(), ids=by_name)
class TestSessionMetric:
    def test_is_named_after_its_file(self, metric: SessionMetric) -> None:
        assert metric.evaluate.__module__ == f"evals.session.{metric.name}"

    def test_scores_its_example_as_expected(self, metric: SessionMetric) -> None:
        outcome = metric.evaluate(metric.example)
        assert isinstance(outcome, Scored)
        assert outcome.value == pytest.approx(metric.expected, abs=1e-3)
        assert set(outcome.details) == set(metric.outputs)

    def test_without_a_signal_there_is_no_number(self, metric: SessionMetric) -> None:
        evaluation = evaluate_session(metric, SessionCase((TraceSignals("a", {}),)))
        assert isinstance(evaluation.outcome, NotApplicable)
        assert evaluation.metadata["applicable"] is False

    def test_the_worst_session_scores_zero_and_the_best_one(self, metric: SessionMetric) -> None:
        names = ("confidence", "loop_detection", "tool_correctness", "coherence")
        for value in (0.0, 1.0):
            traces = tuple(TraceSignals(str(n), dict.fromkeys(names, value)) for n in range(30))
            outcome = evaluate_session(metric, SessionCase(traces)).outcome
            assert isinstance(outcome, Scored)
            assert outcome.value == value
