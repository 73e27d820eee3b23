import re
import unicodedata
from typing import Any

import pytest

from core.ids import SpanStatus
from core.records import Trace
from evals import catalog
from evals.evaluation import evaluate
from evals.fencing import PREAMBLE, fenced, neutralised
from evals.reading import Reading
from tests.evals import made
from tests.evals.hostile import HOSTILE
from tests.fakes import FakeEmbedder, ScriptedJudge

FENCE = re.compile(r"\A<(\w+)-([0-9a-f]{16})>\n(.*)\n</\1-\2>\Z", re.DOTALL)
MARKER = re.compile(r"<\s*/?\s*\w+\s*[-_]\s*[0-9a-fA-F]{4,}")


def hostile_traces(text: str) -> list[Trace]:
    """The same text in each place where a trace can carry it."""
    return [
        made.trace(input=text),
        made.trace(output=text),
        made.trace(name=text),
        made.trace(made.tool("look_up", {"key": text}, "ok")),
        made.trace(made.tool("look_up", {"key": 1}, text)),
        made.trace(made.tool("look_up", {"key": 1}, {"page": {"body": text}})),
        made.trace(made.tool(text, {}, "ok")),
        made.trace(made.tool("pay", {}, None, status=SpanStatus.ERROR, error=text)),
        made.trace(made.llm([{"role": "system", "content": text}], made.assistant("Hello"))),
        made.trace(made.llm([made.user(text)], made.assistant(text))),
        made.trace(made.llm([made.user("Hi")], made.assistant(None, (text, {"a": text})))),
        made.trace(metadata={"tools": [{"name": text, "description": text}]}),
    ]


def body_of(prompt: str) -> str:
    fence = FENCE.match(prompt.removeprefix(PREAMBLE).strip())
    assert fence is not None, "the fence is not one block from beginning to end"
    return fence[3]


def test_the_corpus_is_large_enough() -> None:
    assert len(set(HOSTILE)) >= 40


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_trace_stays_inside_its_block(text: str) -> None:
    for trace in hostile_traces(text):
        prompt = Reading(trace).prompt(50_000).text
        marker = prompt.removeprefix(PREAMBLE).strip().partition("\n")[0]
        closing = f"</{marker[1:]}"
        assert prompt.count(marker) == 1
        assert prompt.count(closing) == 1
        assert prompt.rstrip().endswith(closing)
        body = body_of(prompt)
        assert not MARKER.search(body)
        assert not MARKER.search(unicodedata.normalize("NFKC", body))
        assert "<|" not in body
        prompt.encode()


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_text_opens_no_step_and_speaks_in_no_other_name(text: str) -> None:
    harmless = "something harmless"
    for bad, good in zip(hostile_traces(text), hostile_traces(harmless), strict=True):
        assert structure(bad) == structure(good)


def structure(trace: Trace) -> list[str]:
    """What every line is: the beginning of a step, of a labelled text, or more of a text."""
    lines = body_of(Reading(trace).prompt(50_000).text).split("\n")
    kinds = []
    for line in lines:
        if line.startswith("["):
            kinds.append("step")
        elif line.startswith("  ") and not line.startswith("    "):
            kinds.append("label")
        elif line and not line.startswith("    "):
            kinds.append(line.split(" ")[0])
    return kinds


@pytest.mark.parametrize("text", HOSTILE)
async def test_inputs_of_later_stages_are_fenced_too(text: str) -> None:
    def with_text(question: Any) -> Any:
        answer = question.rule()
        fields = {"task", "outcome"} & set(type(answer).model_fields)
        return answer.model_copy(update=dict.fromkeys(fields, text))

    judge = ScriptedJudge({"task": with_text, "outcome": with_text})
    trace = made.trace(made.tool(text, {"a": text}, text))
    for metric in catalog.trace_metrics():
        if metric.judged and metric.offline:
            await evaluate(metric, trace, judge, FakeEmbedder())
    for question in judge.questions:
        for block in re.finditer(r"<(\w+-[0-9a-f]{16})>\n(.*?)\n</\1>", question.text, re.DOTALL):
            assert not MARKER.search(block[2])
        outside = re.sub(r"<(\w+-[0-9a-f]{16})>\n.*?\n</\1>", "", question.text, flags=re.DOTALL)
        assert not MARKER.search(outside)
        visible = neutralised(text).strip()
        if len(visible) > 20:
            assert visible not in outside


def test_the_fence_is_named_after_its_content() -> None:
    assert fenced("trace", "one") == fenced("trace", "one")
    assert fenced("trace", "one").split("\n")[0] != fenced("trace", "two").split("\n")[0]


@pytest.mark.parametrize(
    "text",
    [
        "a < b and b > c, 2<3",
        "<p>Hello <b>you</b></p>",
        "किताब می‌خواهم 👩‍👧 naïve 東京",
        "tab\tand\nline",
    ],
)
def test_ordinary_text_is_left_as_it_is(text: str) -> None:
    assert neutralised(text) == text


def test_a_text_that_holds_its_own_marker_gets_another() -> None:
    body = "x"
    digest = fenced("trace", body)[7:23]
    assert fenced("trace", f"{body}{digest}").count(digest) == 1
