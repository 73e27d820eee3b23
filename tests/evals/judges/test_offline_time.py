"""Offline rules take linear time for any trace."""

from typing import Any

import pytest

from core.ids import SpanKind
from core.trace_model import Trace
from evals import catalog
from evals.metric import JudgedMetric
from evals.transcript.facts import Facts
from tests.evals import made
from tests.timing import cpu_seconds

SIZE = 20_000
MAX_GROWTH = 8.0
"""Four times the text may take eight times as long on a busy machine; quadratic is sixteen."""

FLOOR_SECONDS = 0.02

RULED = [metric for metric in catalog.trace_metrics() if isinstance(metric, JudgedMetric)]


def traced(text: str) -> Trace:
    return made.trace(
        made.span(SpanKind.CHAIN, name="plan", input=text, output=text),
        made.llm([made.user(text)], made.assistant(f"My plan: {text}")),
        made.tool("think", {"thought": text}, text),
        output=text,
    )


def seconds(metric: JudgedMetric[Any], trace: Trace) -> float:
    facts = Facts(trace)
    assert facts.replies
    return cpu_seconds(lambda: metric.score(metric.by_rule(facts), facts), 2)


@pytest.mark.slow
@pytest.mark.parametrize("metric", RULED, ids=lambda metric: metric.name)
@pytest.mark.parametrize("piece", ["\n", " ", "a", "1. ", "- \n", "first i ", "sorry ", "’"])
def test_four_times_the_text_takes_about_four_times_as_long(
    metric: JudgedMetric[Any], piece: str
) -> None:
    short, long = [traced("x" + piece * n + "y") for n in (SIZE, 4 * SIZE)]
    assert seconds(metric, long) < MAX_GROWTH * max(seconds(metric, short), FLOOR_SECONDS)


@pytest.mark.slow
@pytest.mark.parametrize("metric", RULED, ids=lambda metric: metric.name)
def test_four_times_the_calls_take_about_four_times_as_long(metric: JudgedMetric[Any]) -> None:
    few, many = [
        made.trace(*(made.tool("look", {"n": n % 7}, "ok") for n in range(count)))
        for count in (500, 2_000)
    ]
    assert seconds(metric, many) < MAX_GROWTH * max(seconds(metric, few), FLOOR_SECONDS)
