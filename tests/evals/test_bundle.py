"""Several metrics of one trace in one call."""

import asyncio
import json
import re
from dataclasses import replace
from typing import Any

import pytest

from core.errors import JudgeBusy, JudgeFailed
from core.trace_model import Trace
from evals import catalog, questions
from evals.evaluation import Evaluation, evaluate
from evals.judges.answer_format import Unreadable, read
from evals.judges.cache import Questions, RememberingJudge
from evals.judges.protocol import Question
from evals.metric import JudgedMetric, NotApplicable, Scored
from evals.transcript.transcript import Transcript
from evals.wording import wording
from tests.evals import made
from tests.evals.schemas import portable_schema
from tests.fakes import ONE_CALL, FakeEmbedder, ScriptedJudge, Shelf

THREE = ("task_completion", "tool_correctness", "step_efficiency")


def judged(*names: str) -> list[JudgedMetric[Any]]:
    found = [catalog.trace_metric(name) for name in names]
    return [metric for metric in found if isinstance(metric, JudgedMetric)]


ALL = judged(*(metric.name for metric in catalog.trace_metrics()))


async def together(
    metrics: list[JudgedMetric[Any]],
    judge: ScriptedJudge,
    shelf: Shelf | None = None,
    trace: Trace | None = None,
) -> list[Evaluation]:
    transcript = Transcript(trace or made.conversation())
    memory = RememberingJudge(judge, shelf or Shelf(), Questions())
    return await asyncio.gather(
        *(
            evaluate(metric, transcript, memory, FakeEmbedder(), together=metrics)
            for metric in metrics
        )
    )


async def test_all_judged_metrics_of_a_trace_are_one_call() -> None:
    judge = ScriptedJudge()
    evaluations = await together(ALL, judge)
    assert len(judge.questions) == 1
    assert judge.stages[0].startswith("task_completion+")
    shared = {one.metadata["judge"]["metrics_in_call"] for one in evaluations}  # type: ignore[index,call-overload]
    assert shared == {len(ALL)}


async def test_each_part_is_told_to_be_judged_alone_and_task_completion_leads() -> None:
    judge = ScriptedJudge()
    await together(judged("tool_correctness", "task_completion"), judge)
    text = judge.questions[0].text
    assert "Judge each by its own\nquestion alone" in text
    assert text.index("Question 1: `task_completion`") < text.index("Question 2: `tool_corr")


def test_the_answer_has_one_property_for_each_metric_with_its_full_schema() -> None:
    metrics = judged(*THREE)
    transcript = Transcript(made.conversation())
    (group,) = questions.plan(metrics, transcript.facts, 16_000)
    asked = questions.question(group, transcript, 100_000)
    schema = portable_schema(asked.answer)
    assert schema["required"] == ["task_completion", "step_efficiency", "tool_correctness"]
    for metric in metrics:
        assert schema["properties"][metric.name] == portable_schema(metric.answer)


def shared_question(*names: str) -> tuple[Question[Any], Transcript]:
    transcript = Transcript(made.conversation())
    (group,) = questions.plan(judged(*names), transcript.facts, 16_000)
    return questions.question(group, transcript, 100_000), transcript


def test_an_answer_is_kept_when_one_of_its_parts_validates() -> None:
    asked, _ = shared_question("confidence", "step_efficiency")
    answer = read(
        '{"confidence": {"moments": []}, "step_efficiency": {"waste": "none"}}', asked.answer
    )
    assert asked.check is not None
    asked.check(answer)
    assert answer.confidence is not None
    assert answer.step_efficiency is None


def test_an_answer_without_a_part_that_validates_is_no_answer() -> None:
    asked, _ = shared_question("confidence", "step_efficiency")
    with pytest.raises(Unreadable, match="none of its parts"):
        read('{"confidence": 1, "step_efficiency": {"waste": "none"}}', asked.answer)


def test_an_answer_whose_parts_cite_only_made_up_steps_is_no_answer() -> None:
    asked, _ = shared_question("confidence", "step_efficiency")
    moment = {"what": "It hedged.", "steps": [999], "kind": "hedge", "grounded": False}
    answer = read(json.dumps({"confidence": {"moments": [moment]}}), asked.answer)
    assert asked.check is not None
    with pytest.raises(ValueError, match="none of its parts"):
        asked.check(answer)


BOTH: dict[str, dict[str, Any]] = {
    "task_completion": {
        "wishes": [], "breaches": [], "untruths": [], "accomplished": True, "likelihood": 0.7
    },
    "confidence": {"moments": []},
}  # fmt: skip
TEXT = json.dumps(BOTH)


@pytest.mark.parametrize(
    "text",
    [
        f"{TEXT[:-1]},}}",
        TEXT.replace("true", "True"),
        TEXT.replace('"wishes"', "“wishes”"),
        f"{TEXT}\nNo finding is marked by {{}}.",
        f'{{"answer": {TEXT}}}',
        f"Draft: {json.dumps({'confidence': 1})}\nAnswer:\n```json\n{TEXT}\n```",
    ],
    ids=["trailing comma", "Python literal", "typographic quotes", "chatty", "wrapped", "draft"],
)  # fmt: skip
def test_an_answer_in_parts_is_read_however_it_is_dressed(text: str) -> None:
    asked, _ = shared_question(*BOTH)
    assert read(text, asked.answer).model_dump(exclude_unset=True) == BOTH


@pytest.mark.parametrize("likelihood", ["true", "1e999", "NaN", "2", '"high"'])
def test_a_value_of_a_wrong_type_spoils_its_own_part_only(likelihood: str) -> None:
    asked, _ = shared_question(*BOTH)
    answer = read(TEXT.replace("0.7", likelihood), asked.answer)
    assert answer.task_completion is None
    assert answer.confidence is not None


def test_a_value_of_a_wrong_type_in_the_only_part_is_told() -> None:
    asked, _ = shared_question(*BOTH)
    spoiled = {"task_completion": BOTH["task_completion"] | {"likelihood": True}}
    with pytest.raises(Unreadable, match=r"`task_completion.likelihood`: a boolean is not"):
        read(json.dumps(spoiled), asked.answer)


def test_the_version_follows_the_words_around_the_questions() -> None:
    transcript = calls(60)
    for group in questions.plan(judged("argument_correctness", "confidence"),
                                transcript.facts, 3_000):  # fmt: skip
        text = questions.question(group, transcript, 100_000).text
        for part in group:
            assert part.metric.question in text
            text = text.replace(part.metric.question, "")
        ours = re.sub(r"(?s)<counted-.*</counted-\w+>", "", text)
        named = {f"Question {n}: `{part.metric.name}`" for n, part in enumerate(group, 1)}
        unknown = {line for line in ours.splitlines() if line not in wording()} - named
        assert not unknown


class Spoiling(ScriptedJudge):
    """Answers without one part."""

    def __init__(self, spoiled: str) -> None:
        super().__init__()
        self._spoiled = spoiled

    def _several(self, question: Question[Any]) -> dict[str, Any]:
        return {**super()._several(question), self._spoiled: {"nothing": 1}}


async def test_a_part_that_does_not_validate_is_asked_again_alone() -> None:
    judge = Spoiling("step_efficiency")
    evaluations = await together(judged(*THREE), judge)
    assert judge.stages == ["task_completion+step_efficiency+tool_correctness", "step_efficiency"]
    assert all(isinstance(one.outcome, Scored) for one in evaluations)
    repaired = [one for one in evaluations if one.usage.repair_calls]
    assert [one.usage.repair_cost_usd for one in repaired] == [ONE_CALL.cost_usd]


async def test_a_part_that_fails_alone_fails_no_other() -> None:
    judge = Spoiling("step_efficiency")
    judge._answers["step_efficiency"] = JudgeFailed("no use", provider="test")
    transcript = Transcript(made.conversation())
    memory = RememberingJudge(judge, Shelf(), Questions())
    metrics = judged(*THREE)
    ends = await asyncio.gather(
        *(evaluate(m, transcript, memory, FakeEmbedder(), together=metrics) for m in metrics),
        return_exceptions=True,
    )
    assert [isinstance(end, JudgeFailed) for end in ends] == [False, False, True]


async def test_metrics_that_do_not_apply_have_no_part() -> None:
    judge = ScriptedJudge()
    evaluations = await together(judged(*THREE), judge, trace=made.trace())
    assert judge.stages == ["task_completion+step_efficiency"]
    assert isinstance(evaluations[1].outcome, NotApplicable)


async def test_another_set_of_metrics_finds_nothing_of_a_bundle() -> None:
    shelf, later = Shelf(), ScriptedJudge()
    await together(judged(*THREE), ScriptedJudge(), shelf)
    await together(judged("step_efficiency"), later, shelf)
    assert later.stages == ["step_efficiency"]
    same = ScriptedJudge()
    await together(judged(*reversed(THREE)), same, shelf)
    assert same.stages == []


async def test_a_busy_judge_is_told_to_every_pair() -> None:
    busy = JudgeBusy("wait", provider="test")
    judge = ScriptedJudge({"task_completion+step_efficiency+tool_correctness": busy})
    with pytest.raises(JudgeBusy):
        await together(judged(*THREE), judge)


def calls(number: int) -> Transcript:
    return Transcript(made.trace(*(made.tool("book", {"room": room}) for room in range(number))))


@pytest.mark.parametrize("number", [0, 9, 25])
def test_an_ordinary_trace_is_one_call_even_for_a_model_of_unknown_limits(number: int) -> None:
    assert len(questions.plan(ALL, calls(number).facts, 8_192)) == 1


def test_answers_too_long_for_the_model_are_split_before_asking() -> None:
    few, many = calls(3), calls(100)
    assert len(questions.plan(ALL, few.facts, 16_000)) == 1
    groups = questions.plan(ALL, many.facts, 8_000)
    assert len(groups) > 1
    assert groups[0][0].metric.name == "task_completion"
    for group in groups:
        assert len(group) == 1 or sum(part.tokens for part in group) <= 8_000
    for name in ("tool_correctness", "argument_correctness"):
        parts = [part for group in groups for part in group if part.metric.name == name]
        assert [(part.first, part.last) for part in parts] == [(1, 40), (41, 80), (81, 100)]


async def test_the_parts_of_many_calls_make_one_score() -> None:
    judge = ScriptedJudge()
    (metric,) = judged("argument_correctness")
    evaluation = await evaluate(metric, calls(100), judge, FakeEmbedder())
    assert len(judge.questions) == 3
    assert len(evaluation.metadata["findings"]) == 100  # type: ignore[arg-type]


def test_the_version_follows_every_word_that_reaches_the_judge() -> None:
    (metric,) = judged("confidence")
    assert replace(metric, question=metric.question + "Think twice.\n").version != metric.version
    assert replace(metric, formula="another").version != metric.version
    assert replace(metric, tokens=1).version == metric.version
