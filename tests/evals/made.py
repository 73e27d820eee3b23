"""Traces for tests. A test states only the part under test."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from core.ids import SpanKind, SpanStatus
from core.trace_model import Span, Trace

START = datetime(2026, 9, 1, 9, 0, tzinfo=UTC)


def span(kind: SpanKind, name: str = "step", **more: Any) -> Span:
    values = {
        "id": uuid4(),
        "name": name,
        "kind": kind,
        "status": SpanStatus.OK,
        "started_at": START,
        "ended_at": START + timedelta(seconds=1),
    }
    return Span.model_validate(values | more)


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def assistant(text: str | None, *calls: tuple[str, Any]) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": text}
    if calls:
        message["tool_calls"] = [{"name": name, "arguments": given} for name, given in calls]
    return message


def llm(heard: Sequence[dict[str, Any]], said: Any, **more: Any) -> Span:
    return span(SpanKind.LLM, "chat", input={"messages": list(heard)}, output=said, **more)


def tool(name: str, arguments: Any = None, result: Any = None, **more: Any) -> Span:
    return span(SpanKind.TOOL, name, input=arguments, output=result, **more)


def failed_tool(name: str, arguments: Any = None, error: str = "out of order") -> Span:
    return tool(name, arguments, None, status=SpanStatus.ERROR, error=error)


def trace(*spans: Span, **more: Any) -> Trace:
    values = {
        "id": UUID(int=1),
        "name": "support-agent",
        "input": "Please book room 12 for Monday.",
        "output": "Room 12 is booked for Monday.",
        "started_at": START,
        "ended_at": START + timedelta(seconds=3),
        "spans": tuple(spans),
    }
    return Trace.model_validate(values | more)


def conversation(turns: int = 2, size: int = 200) -> Trace:
    """A support conversation: each turn one question, one tool call, one answer."""
    spans: list[Span] = []
    for turn in range(turns):
        asked = f"Question {turn}: what about order {turn}? " + "please " * (size // 20)
        answer = f"Answer {turn}: order {turn} is fine. " + "certainly " * (size // 20)
        result = {"order": turn, "notes": f"note {turn} " * (size // 8)}
        spans += [
            llm([user(asked)], assistant(None, ("find_order", {"order": turn}))),
            tool("find_order", {"order": turn}, result),
            llm([{"role": "tool", "content": str(result)}], assistant(answer)),
        ]
    return trace(*spans, input="Question 0", output=f"Answer {turns - 1}")
