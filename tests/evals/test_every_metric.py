"""Properties of every metric in the catalog, including future ones."""

import json
from collections.abc import Iterator
from types import MappingProxyType
from typing import Any, get_args

import pytest

from core.findings import speaks_for
from core.ids import SpanKind, SpanStatus, TraceStatus
from core.trace_model import Trace
from evals import catalog, dry_run
from evals.evaluation import evaluate, evaluate_session
from evals.findings import Item
from evals.judges.offline import OFFLINE_MODEL, RulesJudge
from evals.metric import JudgedMetric, NotApplicable, Scored, SessionMetric, TraceMetric
from evals.signals import SessionCase, TraceSignals
from evals.transcript.transcript import Transcript
from evals.wording import HOW_TO_ANSWER
from tests.evals import made
from tests.evals.schemas import portable_schema
from tests.fakes import FakeEmbedder, ScriptedJudge

TRACES = MappingProxyType(
    {
        "without spans": made.trace(),
        "with an error": made.trace(
            made.failed_tool("book_room", {"room": 12}), status=TraceStatus.ERROR
        ),
        "very long": made.conversation(turns=40, size=4_000),
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
        computed = metric.score if isinstance(metric, JudgedMetric) else metric.evaluate  # type: ignore[attr-defined]  # the one other kind
        assert computed.__module__ == f"evals.trace.{metric.name}"

    def test_describes_itself(self, metric: TraceMetric) -> None:
        assert metric.about.endswith("?")
        assert metric.formula
        assert 0 < metric.threshold < 1
        assert metric.threshold_reason
        assert not metric.judged or metric.offline is bool(metric.rule_about)  # type: ignore[attr-defined]  # of judged ones

    def test_scores_its_example_as_expected(self, metric: TraceMetric) -> None:
        outcome = dry_run.outcome(metric)
        assert isinstance(outcome, Scored)
        assert outcome.value == pytest.approx(metric.example.expected)
        assert set(outcome.details) == set(metric.outputs)

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
            assert evaluation.metadata["success"] is (outcome.value >= metric.threshold)
            assert evaluation.metadata["formula"] == metric.formula
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


def _judged() -> list[JudgedMetric[Any]]:
    return [metric for metric in catalog.trace_metrics() if isinstance(metric, JudgedMetric)]


@pytest.mark.parametrize("metric", _judged(), ids=by_name)
class TestJudgedMetric:
    def test_asks_for_findings_before_verdicts_and_for_the_likelihood_last(
        self, metric: JudgedMetric[Any]
    ) -> None:
        for node in _objects(portable_schema(metric.answer)):
            names = [*node]
            places = {
                kind: [n for n, name in enumerate(names) if node[name].get("type") == kind]
                for kind in ("array", "boolean", "number")
            }
            enums = [n for n, name in enumerate(names) if "enum" in node[name]]
            texts = [
                n for n, name in enumerate(names)
                if node[name].get("type") == "string" and n not in enums
            ]  # fmt: skip
            assert max(texts, default=-1) < min(enums or places["boolean"] or [99])
            assert max([*texts, *places["array"]], default=-1) < min(places["number"] or [99])

    def test_every_finding_names_its_steps(self, metric: JudgedMetric[Any]) -> None:
        for name, field in metric.answer.model_fields.items():
            (item,) = get_args(field.annotation) or (None,)
            if item is not None:
                assert issubclass(item, Item), name
                assert "steps" in item.model_fields

    def test_every_list_of_verdicts_has_one_for_what_the_record_does_not_tell(
        self, metric: JudgedMetric[Any]
    ) -> None:
        for node in _objects(portable_schema(metric.answer)):
            if "verdict" in node:
                assert "cannot tell" in node["verdict"]["enum"]

    def test_takes_verdicts_in_any_case_and_with_underscores(
        self, metric: JudgedMetric[Any]
    ) -> None:
        answer = metric.example.answer
        assert answer is not None
        shouted = json.loads(_shouted(answer.model_dump()))
        assert metric.answer.model_validate(shouted) == answer

    def test_points_add_up_to_the_score(self, metric: JudgedMetric[Any]) -> None:
        outcome = dry_run.outcome(metric)
        assert isinstance(outcome, Scored)
        total = sum(finding.points for finding in outcome.findings)
        if metric.name == "task_completion":
            total += 0.5 + 0.375 * 0.96
        elif metric.formula.startswith("1 - "):
            total += 1
        assert total == pytest.approx(outcome.value)

    def test_what_earns_points_speaks_for_the_agent(self, metric: JudgedMetric[Any]) -> None:
        for found in dry_run.outcome(metric).findings:
            stored = {"verdict": found.verdict, "points": found.points}
            assert speaks_for(stored) is (found.points > 0)

    @pytest.mark.parametrize("trace", TRACES.values(), ids=TRACES.keys())
    async def test_every_prompt_about_a_trace_begins_alike(
        self, metric: JudgedMetric[Any], trace: Trace
    ) -> None:
        if not metric.offline:
            pytest.skip("has no offline rule")
        judge = ScriptedJudge(input_tokens=8_000)
        await evaluate(metric, trace, judge, FakeEmbedder())
        await evaluate(catalog.trace_metric("task_completion"), trace, judge, FakeEmbedder())
        texts = {question.trace for question in judge.questions}
        assert len(texts) == (1 if Transcript(trace).has_content else 0)
        for question in judge.questions:
            assert question.text.startswith(HOW_TO_ANSWER)


def _objects(schema: Any) -> Iterator[dict[str, Any]]:
    """The properties of each object in the schema, by name, in order."""
    if isinstance(schema, dict):
        if "properties" in schema:
            yield schema["properties"]
        for value in schema.values():
            yield from _objects(value)


def _shouted(answer: Any) -> str:
    if isinstance(answer, dict):
        return json.dumps({
            key: value.upper().replace(" ", "_") if key in ("verdict", "kind", "effect")
            else json.loads(_shouted(value))
            for key, value in answer.items()
        })  # fmt: skip
    if isinstance(answer, list):
        return json.dumps([json.loads(_shouted(value)) for value in answer])
    return json.dumps(answer)


@pytest.mark.parametrize("metric", catalog.session_metrics(), ids=by_name)
class TestSessionMetric:
    def test_is_named_after_its_file(self, metric: SessionMetric) -> None:
        assert metric.evaluate.__module__ == f"evals.session.{metric.name}"

    def test_scores_its_example_as_expected(self, metric: SessionMetric) -> None:
        outcome = metric.evaluate(metric.example)
        assert isinstance(outcome, Scored)
        assert outcome.value == pytest.approx(metric.expected, abs=1e-3)
        documented = {name for names in metric.outputs for name in names.split(", ")}
        assert set(outcome.details) == documented

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
