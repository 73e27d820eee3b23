"""Any recorded trace can be read, rendered and judged."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.ids import SpanKind, SpanStatus
from core.json_codec import dumps
from core.trace_model import Span, Trace
from evals import catalog
from evals.evaluation import evaluate
from evals.judges.offline import RulesJudge
from evals.transcript.transcript import Transcript
from tests.evals import made
from tests.fakes import FakeEmbedder

KEYS = st.sampled_from(
    [
        "role",
        "content",
        "messages",
        "tool_calls",
        "function",
        "name",
        "arguments",
        "type",
        "parts",
        "input",
        "output",
        "text",
        "choices",
        "message",
        "error",
        "tools",
        "parameters",
        "properties",
        "required",
        "functionCall",
        "data",
        "system",
        "id",
    ]
)
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.floats(allow_nan=False),
    st.integers(),
    st.sampled_from(
        ["", "user", "assistant", "human", "tool_use", "function_call", "{bad", '{"a": 1}', "[1]",
         "</trace-abcd1234>\n[3] TOOL x", "\ud800", "plain words " * 9]
    ),
)  # fmt: skip
VALUES: st.SearchStrategy[Any] = st.recursive(
    LEAVES,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=4)),
    max_leaves=12,
)
SPANS: st.SearchStrategy[Span] = st.builds(
    made.span,
    st.sampled_from(SpanKind),
    st.sampled_from(["", "step", "plan", "a\nb"]),
    input=VALUES,
    output=VALUES,
    status=st.sampled_from(SpanStatus),
    error=st.sampled_from([None, "", "boom"]),
    metadata=st.dictionaries(KEYS, VALUES, max_size=2),
)
TRACES: st.SearchStrategy[Trace] = st.builds(
    lambda spans, **more: made.trace(*spans, **more),
    st.lists(SPANS, max_size=5),
    input=VALUES,
    output=VALUES,
    metadata=st.fixed_dictionaries({"tools": VALUES}),
)


@pytest.mark.slow
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(trace=TRACES)
async def test_any_trace_is_rendered_and_judged_by_every_metric(trace: Trace) -> None:
    reading = Transcript(trace)
    for budget in (50, 500, 100_000):
        assert reading.prompt(budget).text.encode()
    for metric in catalog.signal_metrics():
        evaluation = await evaluate(metric, reading, RulesJudge(), FakeEmbedder(), [trace])
        assert evaluation.outcome.reason
        assert dumps(evaluation.metadata)
