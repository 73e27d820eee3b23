"""What can be read off a trace without asking anyone."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from pydantic import JsonValue

from core.ids import SpanKind, SpanStatus, TraceStatus
from core.records import Span, Trace
from evals.calls import CallRecord, ToolCall, read_calls
from evals.compact import compact
from evals.conversation import Spoken, spoken
from evals.messages import Message
from evals.tools import Tool, tools_on_offer
from evals.tree import Parents, parents_of

_UNFINISHED = frozenset((TraceStatus.PENDING, TraceStatus.RUNNING))
_TEXT_KEYS = ("content", "text", "input", "output", "question", "query", "prompt", "message",
              "answer", "response", "result")  # fmt: skip


@dataclass(frozen=True)
class Facts:
    """Everything about one trace that is counted rather than judged, worked out when asked for."""

    trace: Trace

    @cached_property
    def spoken(self) -> dict[int, Spoken]:
        return spoken(self.trace.spans)

    @cached_property
    def parents(self) -> Parents:
        return parents_of(self.trace.spans)

    @cached_property
    def record(self) -> CallRecord:
        return read_calls(self.trace.spans, self.parents, self.spoken)

    @property
    def calls(self) -> tuple[ToolCall, ...]:
        """Every tool call once, in order, whether a span or only a model's request shows it."""
        return self.record.calls

    @cached_property
    def tools(self) -> tuple[Tool, ...]:
        """The tools the agent could have used, as far as the trace says."""
        return tools_on_offer(self.trace)

    @cached_property
    def repeated_calls(self) -> tuple[ToolCall, ...]:
        """The second and later ones of calls with exactly the same arguments."""
        seen: set[tuple[str, bytes]] = set()
        found: list[ToolCall] = []
        for call in self.calls:
            same = (call.name, call.key)
            if same in seen:
                found.append(call)
            seen.add(same)
        return tuple(found)

    @cached_property
    def repeats(self) -> tuple[tuple[str, int], ...]:
        """Calls made more than once with exactly the same arguments: tool and how often."""
        counts = Counter((call.name, call.key) for call in self.calls)
        return tuple((name, count) for (name, _), count in counts.items() if count > 1)

    @property
    def wasted_calls(self) -> int:
        return len(self.repeated_calls)

    @cached_property
    def failed_calls(self) -> tuple[ToolCall, ...]:
        return tuple(call for call in self.calls if call.error is not None)

    @cached_property
    def failed_spans(self) -> tuple[Span, ...]:
        """Steps that ended in an error, tools included."""
        return tuple(
            span
            for span in self.trace.spans
            if span.status is SpanStatus.ERROR or (span.error and span.error.strip())
        )

    @cached_property
    def messages(self) -> tuple[Message, ...]:
        """What user and assistant said, each message once, oldest first."""
        said = [
            message
            for turn in self.spoken.values()
            for message in (*(turn.heard or ()), *(turn.said or ()))
            if message.role in ("user", "assistant") and message.text
        ]
        texts = {message.text for message in said}
        asked, answered = plain_text(self.trace.input), plain_text(self.trace.output)
        if asked and not any(message.role == "user" for message in said):
            said.insert(0, Message("user", asked))
        if answered and answered not in texts:
            said.append(Message("assistant", answered))
        return tuple(said)

    @cached_property
    def request(self) -> str:
        """The user's first words, else the trace's input."""
        return next((m.text for m in self.messages if m.role == "user"), "")

    @cached_property
    def answer(self) -> str:
        """The trace's output, else the agent's last words."""
        output = plain_text(self.trace.output)
        if output:
            return output
        return next((m.text for m in reversed(self.messages) if m.role == "assistant"), "")

    @cached_property
    def replies(self) -> tuple[str, ...]:
        return tuple(m.text for m in self.messages if m.role == "assistant")

    @cached_property
    def instructed(self) -> bool:
        """The trace shows instructions that the agent worked under."""
        return any(
            message.role == "system" and message.text
            for turn in self.spoken.values()
            for message in turn.heard or ()
        )

    @property
    def unfinished(self) -> bool:
        return self.trace.status in _UNFINISHED

    @property
    def failed(self) -> bool:
        """The trace as a whole ended in an error."""
        roots = (span for span in self.trace.spans if span.parent_id is None)
        return self.trace.status is TraceStatus.ERROR or any(
            span.status is SpanStatus.ERROR and span.kind is not SpanKind.TOOL for span in roots
        )


def plain_text(value: JsonValue) -> str:
    """The words in a trace's input or output, whatever it is wrapped in."""
    if isinstance(value, Mapping):
        messages = value.get("messages")
        if isinstance(messages, list) and messages:
            return plain_text(messages[-1])
        for key in _TEXT_KEYS:
            inner = value.get(key)
            if isinstance(inner, str) and inner.strip():
                return inner.strip()
    if isinstance(value, list) and value and isinstance(value[-1], dict) and "role" in value[-1]:
        return plain_text(value[-1])
    return compact(value)
