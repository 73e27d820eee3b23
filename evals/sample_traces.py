"""Small traces for the examples of metrics."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from pydantic import JsonValue

from core.ids import SpanId, SpanKind, SpanStatus, TraceId
from core.trace_model import Span, Trace

_START = datetime(2026, 9, 1, 9, 0, tzinfo=UTC)


def span(number: int, kind: SpanKind, name: str, **more: JsonValue) -> Span:
    """Step `number` of a trace: one second long, child of the first step."""
    values: dict[str, object] = {
        "id": SpanId(UUID(int=number)),
        "parent_id": None if number == 1 else SpanId(UUID(int=1)),
        "name": name,
        "kind": kind,
        "status": SpanStatus.OK,
        "started_at": _START + timedelta(seconds=number - 1),
        "ended_at": _START + timedelta(seconds=number),
    }
    return Span.model_validate(values | more)


def tool(number: int, name: str, arguments: JsonValue, result: JsonValue) -> Span:
    return span(number, SpanKind.TOOL, name, input=arguments, output=result)


def trace(
    request: str,
    answer: str,
    spans: Sequence[Span] = (),
    metadata: dict[str, JsonValue] | None = None,
) -> Trace:
    return Trace(
        id=TraceId(UUID(int=4711)),
        name="support-agent",
        input=request,
        output=answer,
        metadata=metadata or {},
        started_at=_START,
        ended_at=_START + timedelta(seconds=max(1, len(spans))),
        spans=tuple(spans),
    )


def _chat(number: int, inputs: JsonValue, outputs: JsonValue) -> Span:
    return span(number, SpanKind.LLM, "chat", input={"messages": [inputs]}, output=outputs)


def _user(text: str) -> JsonValue:
    return {"role": "user", "content": text}


def order_trace() -> Trace:
    """A question about an order that the agent looks up and answers, with the tools on offer."""
    request = "Where is my order 4711, and when does it arrive?"
    answer = "Your order 4711 is out for delivery and arrives today by 18:00."
    tools: list[JsonValue] = [
        {"name": "find_order", "description": "State of one order.",
         "parameters": {"properties": {"order": {"type": "string"}}, "required": ["order"]}},
        {"name": "cancel_order", "description": "Cancels an order that has not been sent."},
    ]  # fmt: skip
    call: dict[str, JsonValue] = {"name": "find_order", "arguments": {"order": "4711"}}
    order: dict[str, JsonValue] = {"state": "out for delivery", "by": "18:00"}
    return trace(
        request,
        answer,
        (
            span(1, SpanKind.AGENT, "support-agent", input=request, output=answer),
            _chat(2, _user(request), {"role": "assistant", "tool_calls": [call]}),
            tool(3, "find_order", {"order": "4711"}, order),
            _chat(4, {"role": "tool", "content": order}, {"role": "assistant", "content": answer}),
        ),
        {"tools": tools},
    )


def plan_trace() -> Trace:
    """A conditional cancellation that the agent plans first."""
    request = "Please cancel my order 4711 if it has not been sent yet."
    plan = "My plan:\n1. Look up order 4711.\n2. Cancel it if it has not been sent."
    answer = "Order 4711 had not been sent. It is cancelled."
    return trace(
        request,
        answer,
        (
            span(1, SpanKind.AGENT, "support-agent", input=request, output=answer),
            _chat(2, _user(request), {"role": "assistant", "content": plan}),
            tool(3, "find_order", {"order": "4711"}, {"state": "packed"}),
            tool(4, "cancel_order", {"order": "4711"}, {"state": "cancelled"}),
        ),
    )


def trouble_trace() -> Trace:
    """A look-up that fails and is repeated, and a call to a tool that is not on offer."""
    request = "Cancel order 4711, please."
    answer = "I am sorry, I cannot reach the orders right now."
    failed = {"status": SpanStatus.ERROR.value, "error": "the order service is down"}
    look_up: dict[str, JsonValue] = {"order": "4711"}
    return trace(
        request,
        answer,
        (
            span(1, SpanKind.AGENT, "support-agent", input=request, output=answer),
            span(2, SpanKind.TOOL, "find_order", input=look_up, **failed),
            span(3, SpanKind.TOOL, "find_order", input=look_up, **failed),
            tool(4, "page_engineer", {"about": "orders"}, "paged"),
            _chat(5, _user(request), {"role": "assistant", "content": answer}),
        ),
        {"tools": [{"name": "find_order", "description": "State of one order."}]},
    )
