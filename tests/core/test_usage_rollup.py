"""Each call of a model counts once, even if several spans report it."""

from uuid import UUID

import pytest

from core.ids import SpanKind
from core.usage_rollup import UsageStub, roll_up_usage

AGENT, CHAIN, LLM = SpanKind.AGENT, SpanKind.CHAIN, SpanKind.LLM
TOOL, OTHER = SpanKind.TOOL, SpanKind.OTHER
Row = tuple[int, int | None, SpanKind, int]


def stubs(*rows: Row) -> list[UsageStub]:
    return [
        UsageStub(
            UUID(int=span_id), None if parent is None else UUID(int=parent), kind, n, n, 0, 0.0
        )
        for span_id, parent, kind, n in rows
    ]


@pytest.mark.parametrize(
    ("rows", "total"),
    [
        # The agent states the sum of its calls, or repeats the last of them.
        ([(1, None, AGENT, 330), (2, 1, LLM, 110), (3, 1, LLM, 220)], 330),
        ([(1, None, AGENT, 40), (2, 1, LLM, 40), (3, 1, LLM, 40)], 80),
        # Not every call has a span.
        ([(1, None, AGENT, 330), (2, 1, LLM, 110), (3, 1, LLM, 0)], 330),
        # Sums of sums, with spans without usage between them.
        (
            [
                *((1, None, AGENT, 100), (2, 1, CHAIN, 0), (3, 2, AGENT, 60), (4, 3, LLM, 60)),
                (5, 2, LLM, 40),
            ],
            100,
        ),
        # Two tracers around one call.
        ([(1, None, LLM, 15), (2, 1, LLM, 15)], 15),
        # Calls below a tool that a call requested are separate calls.
        ([(1, None, LLM, 15), (2, 1, TOOL, 0), (3, 2, LLM, 30)], 45),
        # An agent whose reported usage covers only some of its calls.
        ([(1, None, CHAIN, 0), (2, 1, AGENT, 500), (3, 1, LLM, 20)], 520),
        # A span of no known kind is added, unless it states the sum of what is below it.
        ([(1, None, OTHER, 4), (2, 1, LLM, 11)], 15),
        ([(1, None, OTHER, 30), (2, 1, LLM, 11), (3, 1, LLM, 19)], 30),
        # The parent never arrived.
        ([(2, 9, AGENT, 50), (3, 2, LLM, 50), (4, 9, LLM, 7)], 57),
        # A cycle of parents, and a span that is its own parent.
        ([(1, 2, AGENT, 30), (2, 1, LLM, 30)], 30),
        ([(1, 1, LLM, 30)], 30),
    ],
)
def test_tokens_of_a_trace(rows: list[Row], total: int) -> None:
    assert roll_up_usage(stubs(*rows)).total_tokens == total
    assert roll_up_usage(stubs(*reversed(rows))).total_tokens == total


def test_a_chain_of_thousands_of_spans_is_no_recursion() -> None:
    rows = [(n, n - 1 if n > 1 else None, AGENT if n < 5000 else LLM, 3) for n in range(1, 5001)]
    assert roll_up_usage(stubs(*rows)).total_tokens == 3


def test_a_computed_cost_counts_only_with_its_tokens() -> None:
    agent, *calls = stubs((1, None, AGENT, 40), (2, 1, LLM, 40), (3, 1, LLM, 40))
    spans = [
        agent._replace(total_cost=9.0, cost_is_computed=True),
        *(call._replace(total_cost=1.0, cost_is_computed=True) for call in calls),
    ]
    assert roll_up_usage(spans).total_cost == 2.0
    spans[0] = agent._replace(total_cost=9.0)
    assert roll_up_usage(spans).total_cost == 9.0
