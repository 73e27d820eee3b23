"""Sums the tokens and the cost of a trace, and counts each call once.

The span of an agent often has the sum of the calls below it, or repeats the last call. Two
tracers around one call report it twice, one span inside the other. Adding up all spans would count
such calls twice.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple
from uuid import UUID

from core.ids import SpanKind

_CALLS: Final = frozenset((SpanKind.LLM, SpanKind.EMBEDDING))
"""Kinds of spans that stand for one call of a model."""

SUMS: Final = frozenset((SpanKind.AGENT, SpanKind.CHAIN, SpanKind.TOOL))
"""Kinds of spans that repeat the usage of the calls below them."""

_SEPARATE: Final = frozenset((SpanKind.TOOL, SpanKind.AGENT))
"""Below a model call, these spans are work that the call requested, not the same call again."""


class UsageStub(NamedTuple):
    """The usage of a span. A computed cost follows from the tokens; it does not count as stated."""

    id: UUID
    parent_span_id: UUID | None
    kind: SpanKind
    total_tokens: int
    prompt_tokens: int
    completion_tokens: int
    total_cost: float
    cost_is_computed: bool = False


class UsageSums(NamedTuple):
    total_tokens: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_cost: float = 0.0

    def plus(self, other: "UsageSums") -> "UsageSums":
        return UsageSums(
            self.total_tokens + other.total_tokens,
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            self.total_cost + other.total_cost,
        )


def roll_up_usage(stubs: Iterable[UsageStub]) -> UsageSums:
    """The sums over the spans of one trace.

    A call counts the larger of two values: its own usage, and the usage of the spans of the same
    call inside it. An agent, a chain or a tool counts the larger of the usage below it and its own,
    because some of its calls may have no spans. A span of another kind adds its own usage to the
    usage below it, unless its own is exactly that sum.
    """
    spans = {stub.id: stub for stub in stubs}
    children: dict[UUID, list[UUID]] = {}
    tops: list[UUID] = []
    for stub in spans.values():
        parent = stub.parent_span_id
        if parent is None or parent not in spans or parent == stub.id:
            tops.append(stub.id)
        else:
            children.setdefault(parent, []).append(stub.id)
    order = _from_tops(spans, tops, children)
    sums: dict[UUID, UsageSums] = {}
    for span_id in reversed(order):
        below = [(spans[child].kind, sums[child]) for child in children.get(span_id, ())]
        sums[span_id] = _of(spans[span_id], below)
    total = UsageSums()
    for span_id in tops:
        total = total.plus(sums[span_id])
    return total


def _from_tops(
    spans: Mapping[UUID, UsageStub], tops: list[UUID], children: Mapping[UUID, list[UUID]]
) -> list[UUID]:
    """Orders the spans so that each follows its parent.

    In a cycle, one span becomes a top without a parent.
    """
    order: list[UUID] = []
    visited: set[UUID] = set()

    def follow(start: Iterable[UUID]) -> None:
        waiting = list(start)
        while waiting:
            span_id = waiting.pop()
            if span_id in visited:
                continue
            visited.add(span_id)
            order.append(span_id)
            waiting += children.get(span_id, ())

    follow(tops)
    for span_id in sorted(spans.keys() - visited):
        if span_id not in visited:
            parent = spans[span_id].parent_span_id
            assert parent is not None
            children[parent].remove(span_id)
            tops.append(span_id)
            follow([span_id])
    return order


def _of(stub: UsageStub, below: Sequence[tuple[SpanKind, UsageSums]]) -> UsageSums:
    same, separate = UsageSums(), UsageSums()
    for kind, sums in below:
        if stub.kind in _CALLS and kind in _SEPARATE:
            separate = separate.plus(sums)
        else:
            same = same.plus(sums)
    own = UsageSums(stub.total_tokens, stub.prompt_tokens, stub.completion_tokens, stub.total_cost)
    if stub.kind not in _CALLS | SUMS and own.total_tokens != same.total_tokens:
        return own.plus(same)
    counted = own if own.total_tokens > same.total_tokens else same
    ignored = stub.cost_is_computed and counted is same
    cost = same.total_cost if ignored else max(own.total_cost, same.total_cost)
    return counted._replace(total_cost=cost).plus(separate)
